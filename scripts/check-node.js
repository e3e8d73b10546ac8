// Plain JavaScript for any Node: it must be able to say what is wrong before anything newer is parsed.
const REQUIRED_MAJOR = 24;
const major = Number(process.versions.node.split(".")[0]);

if (major < REQUIRED_MAJOR) {
  process.stderr.write(
    `Persistor runs on Node ${REQUIRED_MAJOR}; this is Node ${process.versions.node}.\n` +
      `The package "node" brings the right one, and npm puts it first for its scripts. It is missing here: was its install script blocked?\n` +
      `  npm rebuild node --foreground-scripts     (npm 10 and 11)\n` +
      `  npm approve-scripts node && npm rebuild   (npm 12)\n` +
      `Or install Node ${REQUIRED_MAJOR} and run the command again.\n`,
  );
  process.exit(1);
}
