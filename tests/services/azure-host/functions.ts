import type { AppSettings } from "./app-settings.ts";
import type { EventGridFunction } from "./event-grid.ts";
import type { AuthLevel } from "./http/keys.ts";
import type { HttpFunction } from "./http/trigger.ts";
import type { Binding, FunctionMetadata } from "./rpc.ts";
import type { TimerFunction } from "./timer.ts";

/** A function of the app, as the host sees it. */
export interface FunctionDescription {
  name: string;
  /** As in its binding: `httpTrigger`, `serviceBusTrigger`, … */
  type: string;
  /** Of an HTTP function: with the prefix, without a slash before it. */
  route?: string;
  methods?: readonly string[];
  authLevel?: AuthLevel;
  schedule?: string;
  /** Why it does not run, though the app does. */
  error?: string;
}

/** The binding that makes a function run. Throws where it has none. */
export function triggerOf({ name, bindings }: FunctionMetadata): Binding {
  const trigger = bindings.find(({ type }) => type.toLowerCase().endsWith("trigger"));
  if (!trigger) throw new Error(`indexing function '${name}': it has no trigger`);
  return trigger;
}

export const isMany = ({ cardinality }: Binding): boolean => String(cardinality ?? "one").toLowerCase() === "many";

/** `dataType` of a binding; the host reads it in any case. */
export const dataTypeOf = ({ dataType }: Binding): string | undefined => dataType?.toLowerCase();

/** A binding's option that is a text, with the app settings in it. Throws where it is missing. */
export function textOption(binding: Binding, option: string, settings: AppSettings): string {
  const value = binding[option];
  if (typeof value !== "string" || value === "") throw new Error(`binding '${binding.type}': '${option}' is missing; set it`);
  return settings.resolve(value);
}

export function httpFunctionOf(fn: FunctionMetadata, binding: Binding, settings: AppSettings, routePrefix: string): HttpFunction {
  const route = typeof binding["route"] === "string" && binding["route"] !== "" ? settings.resolve(binding["route"]) : fn.name;
  return {
    fn,
    bindingName: binding.name,
    route: [routePrefix, route]
      .filter((part) => part !== "")
      .join("/")
      .replace(/^\/+/, ""),
    methods: Array.isArray(binding["methods"]) ? binding["methods"].map(String) : [],
    authLevel: String(binding["authLevel"] ?? "function").toLowerCase() as AuthLevel,
  };
}

export const timerFunctionOf = (fn: FunctionMetadata, binding: Binding, settings: AppSettings): TimerFunction => ({
  fn,
  bindingName: binding.name,
  schedule: textOption(binding, "schedule", settings),
  runOnStartup: binding["runOnStartup"] === true,
});

export const eventGridFunctionOf = (fn: FunctionMetadata, binding: Binding): EventGridFunction => ({
  fn,
  bindingName: binding.name,
  isMany: isMany(binding),
  isText: dataTypeOf(binding) === "string",
});
