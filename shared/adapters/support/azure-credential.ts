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
