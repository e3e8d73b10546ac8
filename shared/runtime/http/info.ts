import type { ApiInfo } from "./openapi.ts";

/** What the API's description says of itself. */
export const API_INFO: ApiInfo = { title: "Persistor", version: "0.1.0", description: "Queries what was archived and sends it again." };
