import * as z from "zod";
import { azureIdentitySettings } from "../../support/azure-credential.ts";

/** Settings of a store of kind `azure-blob`: what a pipeline or `PERSISTOR_STORES` says of it. */
export const azureBlobStoreSettings = z.strictObject({
  container: z
    .string()
    .regex(
      /^(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*$/,
      "must be a container's name: 3 to 63 lower-case letters, digits and single dashes between them",
    )
    .describe("The container, which must exist."),
});

/** A connection string of a storage account, in one of the forms that the SDK takes. */
export const blobConnectionStringSchema = z
  .string()
  .refine(
    isConnectionString,
    "must be a connection string: DefaultEndpointsProtocol, AccountName, AccountKey and EndpointSuffix or BlobEndpoint; BlobEndpoint and SharedAccessSignature; or UseDevelopmentStorage=true",
  );

/** The URL of an account's blob service, where an identity is the credential. */
export const blobServiceUriSchema = z
  .url({ protocol: /^https$/, error: "must be a URL that begins with https://" })
  .refine((url) => !/[@?#]/.test(url), "must hold no credentials and no query; a SAS belongs into a connection string");

/** What all stores of kind `azure-blob` of a process share: a connection string, or else a URL and an identity. */
export const azureBlobProcessSettings = z.strictObject({
  connectionString: blobConnectionStringSchema.optional(),
  blobServiceUri: blobServiceUriSchema.optional(),
  ...azureIdentitySettings.shape,
});

export type AzureBlobProcessSettings = z.output<typeof azureBlobProcessSettings>;

function isConnectionString(text: string): boolean {
  if (text.startsWith("UseDevelopmentStorage=true")) return true;
  const values = new Map(text.split(";").map((part) => [part.trim().split("=", 1)[0], part.slice(part.indexOf("=") + 1)]));
  const has = (name: string) => Boolean(values.get(name));
  const isKey = /^[A-Za-z0-9+/]+={0,2}$/.test(values.get("AccountKey") ?? "");
  const isOfKey = has("AccountName") && isKey && /^https?$/i.test(values.get("DefaultEndpointsProtocol") ?? "");
  if (isOfKey) return has("EndpointSuffix") || isHttp(values.get("BlobEndpoint"));
  return has("SharedAccessSignature") && isHttp(values.get("BlobEndpoint"));
}

function isHttp(url = ""): boolean {
  return URL.canParse(url) && /^https?:/.test(url);
}
