import type { TokenCredential } from "@azure/identity";
import * as z from "zod";

/** How a service of Azure is told who the process is, by the names that connections of Azure Functions use. */
export const azureIdentitySettings = z.strictObject({
  /** Client id of a user-assigned identity. Default: the identity that the process is found to have. */
  clientId: z.string().min(1).optional(),
  /** `managedidentity`: an identity of Azure and no other. Default: what `DefaultAzureCredential` finds, also a developer's login. */
  credential: z.literal("managedidentity", { error: "must be managedidentity, or not set" }).optional(),
});

export type AzureIdentitySettings = z.output<typeof azureIdentitySettings>;

/**
 * The credential that these settings name. No token is asked for, and a process that uses no identity does not load the package.
 *
 * @example const credential = await azureCredential({ credential: "managedidentity", clientId: "…" });
 */
export async function azureCredential({ clientId, credential }: AzureIdentitySettings): Promise<TokenCredential> {
  const { DefaultAzureCredential, ManagedIdentityCredential } = await import("@azure/identity");
  if (credential === undefined) {
    return new DefaultAzureCredential({ ...(clientId !== undefined && { managedIdentityClientId: clientId }) });
  }
  return clientId === undefined ? new ManagedIdentityCredential() : new ManagedIdentityCredential({ clientId });
}

/** Whether an error of this name says that no token could be had; `@azure/identity` is not loaded for this. */
export function isOfCredential(name: unknown): boolean {
  return (
    typeof name === "string" && /^(CredentialUnavailable|AggregateAuthentication|Authentication|AuthenticationRequired)Error$/.test(name)
  );
}

/** What to do where no token could be had: it may be had later. `variable`: what the names of the identity's settings begin with. */
export function credentialRemedy(variable: string): string {
  return `no token could be had; give the process an identity, or correct ${variable}__clientId and ${variable}__credential`;
}
