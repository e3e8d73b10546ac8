/** What a binding's `connection` names. */
export type Connection = { kind: "string"; text: string } | { kind: "identity"; fullyQualifiedNamespace: string; token: string };

/** The app settings, which is all that a function app sees of its surroundings. */
export interface AppSettings {
  find(name: string): string | undefined;
  /** `%NAME%` replaced by the setting of that name. Throws where there is none. */
  resolve(text: string): string;
  /** The setting of that name, a connection string, or `<name>__fullyQualifiedNamespace`, for the host's identity. Throws where there is neither. */
  connection(name: string): Connection;
}

/** `env`: names are the same in any case, as on Azure. `identityToken`: what the host's identity is let in by. */
export function createAppSettings(env: Readonly<Record<string, string>>, identityToken?: string): AppSettings {
  const byName = new Map(Object.entries(env).map(([name, value]) => [name.toLowerCase(), value]));
  const find = (name: string) => byName.get(name.toLowerCase());
  return {
    find,
    // Microsoft.Azure.WebJobs INameResolver.ResolveWholeString.
    resolve: (text) =>
      text.replace(/%([^%]+)%/g, (_, name: string) => {
        const value = find(name);
        if (value === undefined) throw new Error(`resolving '%${name}%': no app setting has that name; set it`);
        return value;
      }),
    connection(name) {
      const text = find(name) ?? find(`AzureWebJobs${name}`);
      if (text !== undefined) return { kind: "string", text };
      const fullyQualifiedNamespace = find(`${name}__fullyQualifiedNamespace`);
      if (fullyQualifiedNamespace !== undefined && identityToken !== undefined) {
        return { kind: "identity", fullyQualifiedNamespace, token: identityToken };
      }
      if (fullyQualifiedNamespace !== undefined) {
        throw new Error(`connecting by '${name}__fullyQualifiedNamespace': the host has no identity; give it an identityToken`);
      }
      throw new Error(`connecting by '${name}': no app setting has that name; set it to a connection string`);
    },
  };
}
