// Runs a test binary that cargo built for wasm32-unknown-unknown, as cargo's runner: the same
// tests as natively, one after the other. Such a binary cannot print; a failed test traps, and the
// trap's stack names it.
import { readFile } from "node:fs/promises";

Error.stackTraceLimit = 40;

const { instance, module } = await WebAssembly.instantiate(await readFile(process.argv[2]));
const imports = WebAssembly.Module.imports(module);
if (imports.length > 0) throw new Error(`the tests want imports: ${JSON.stringify(imports)}`);
try {
  const status = instance.exports.main(0, 0);
  console.log(status === 0 ? "test result: ok (wasm)" : `test result: FAILED (status ${status})`);
  process.exitCode = status;
} catch (trap) {
  const frames = trap.stack.split("\n").filter((line) => line.includes("6client"));
  console.error(`test result: FAILED (wasm): ${trap.message}, innermost frame first`);
  console.error(frames.map((line) => line.trim().split(" ")[1]).join("\n"));
  process.exitCode = 101;
}
