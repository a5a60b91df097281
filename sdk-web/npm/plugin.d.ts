import type { Plugin } from "./index.js";

/** What the module's script tag would say in its `data-` attributes. */
export default function plugin(settings?: Record<string, string>): Plugin;
