import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

/** What a listener under TLS needs, and what its clients need to trust it. */
export interface ServerKeys {
  /** Path of the PKCS#12 file of the server's key and certificates. */
  keystore: string;
  password: string;
  /** Certificate of the authority, as PEM. */
  ca: string;
}

const run = promisify(execFile);
const PASSWORD = "persistor-tests";

/** Makes an authority, and by it a certificate for 127.0.0.1 and localhost, in `folder`; needs nothing but Java's `keytool`. */
export async function makeServerKeys(folder: string): Promise<ServerKeys> {
  const keystore = join(folder, "server.p12");
  const keytool = (...args: string[]) => run("keytool", [...args, "-keystore", keystore, "-storetype", "PKCS12", "-storepass", PASSWORD]);
  const makeKey = (...args: string[]) => keytool("-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", "3650", ...args);
  const authority = join(folder, "ca.pem");
  await makeKey("-alias", "ca", "-dname", "CN=Persistor tests", "-ext", "bc:critical=ca:true", "-ext", "ku:critical=keyCertSign");
  await makeKey("-alias", "server", "-signer", "ca", "-dname", "CN=localhost", "-ext", "san=dns:localhost,ip:127.0.0.1");
  await keytool("-exportcert", "-rfc", "-alias", "ca", "-file", authority);
  // Else the server could show the authority's own certificate.
  await keytool("-delete", "-alias", "ca");
  return { keystore, password: PASSWORD, ca: (await readFile(authority, "utf8")).replaceAll("\r\n", "\n") };
}
