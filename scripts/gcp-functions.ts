/** The functions of Google Cloud: target, as the platform calls it, and entry. */
export const GCP_FUNCTIONS = {
  persist: "functions/persist/gcp-pubsub.ts",
  "persist-pull": "functions/persist/gcp-pull.ts",
  index: "functions/index/gcp-pubsub.ts",
  query: "functions/query/gcp-http.ts",
  resubmit: "functions/resubmit/gcp-http.ts",
  "resubmit-work": "functions/resubmit/gcp-work.ts",
} as const;
