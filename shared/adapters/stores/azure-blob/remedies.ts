/** What to do about failures, by Blob Storage's own codes; they say more than the status. */
export const CODE_REMEDIES: Readonly<Record<string, string>> = {
  ContainerNotFound: "the container is missing; create it or correct store.container",
  ContainerBeingDeleted: "the container is being deleted; create it again, or set store.container to another",
  ContainerDisabled: "the container is disabled; enable it",
  AccountIsDisabled: "the account is disabled; enable it",
  InsufficientAccountPermissions: "the account is read-only; write to the primary one, or make it writable",
  WriteOperationNotSupportedOnSecondary: "the secondary copy of an account takes no writes; set the primary one's URL",
  AuthenticationFailed:
    "the credentials are not accepted: a wrong key, a SAS that has expired, an identity of another tenant, or a clock that is wrong; correct PERSISTOR_AZURE_STORAGE, the identity or the clock",
  InvalidAuthenticationInfo: "the token or the signature is not accepted; correct the process's identity or PERSISTOR_AZURE_STORAGE",
  NoAuthenticationInformation: "the request was made without credentials; correct PERSISTOR_AZURE_STORAGE",
  AuthorizationFailure:
    "access denied: the account's firewall keeps the process out, or the SAS does not grant this; allow its network, or grant read, create, write and list",
  AuthorizationPermissionMismatch:
    "access denied; grant the process's identity Storage Blob Data Contributor on the container, or a SAS with read, create, write and list",
  AuthorizationSourceIPMismatch: "access denied: the SAS does not allow the process's address; allow it",
  AuthorizationProtocolMismatch: "access denied: the SAS allows only https; use it in BlobEndpoint",
  AuthorizationServiceMismatch: "access denied: the SAS is not for blobs; make one with the service blob",
  AuthorizationResourceTypeMismatch: "access denied: the SAS is not for this; make one with the resource types container and object",
  KeyBasedAuthenticationNotPermitted:
    "the account takes no keys; use an identity by PERSISTOR_AZURE_STORAGE__blobServiceUri, or allow keys",
  BlobArchived: "the object is archived and cannot be read; rehydrate it",
  BlobBeingRehydrated: "the object is being rehydrated; the call may be repeated later",
  ServerBusy: "the account is throttled; the call may be repeated",
  OperationTimedOut: "the server took too long; the call may be repeated",
  Md5Mismatch: "the bytes were altered on the way; the call may be repeated",
};

export const STATUS_REMEDIES: Readonly<Record<number, string>> = {
  401: "the credentials are not accepted; correct those of the process",
  403: "access denied; grant the process's identity Storage Blob Data Contributor on the container",
  404: "the container is missing, or the server is none of Azure Blob Storage; create the container or correct store.container or the account's URL",
  408: "the server waited too long for the request; the call may be repeated",
  429: "too many requests; the call may be repeated",
};

const CUT = "the connection was cut; the call may be repeated";

/** What to do where no answer came, by the system's codes. */
export const NETWORK_REMEDIES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens at the account's address; start the server or correct its URL",
  ENOTFOUND: "there is no account of that name; correct it, or look at the network's name service",
  EAI_AGAIN: "the name service does not answer; look at the network",
  ECONNRESET: CUT,
  EPIPE: CUT,
  ERR_STREAM_PREMATURE_CLOSE: CUT,
  ETIMEDOUT: "the server does not answer in time; look at the network, the call may be repeated",
};
