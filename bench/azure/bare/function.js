import { app } from "@azure/functions";

// A function app that does nothing.
app.http("bare", { methods: ["GET"], handler: () => ({ status: 204 }) });
