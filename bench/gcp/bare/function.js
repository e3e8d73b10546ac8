import { http } from "@google-cloud/functions-framework";

// The least that a function can do: what it costs to be pushed to, and to start.
http("bare", (_request, response) => response.status(204).end());
