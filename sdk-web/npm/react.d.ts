import type { Hint } from "./index.js";

/** The hint of a slot; rendered anew when it is another one or none. */
export function useHint(slot?: string): Hint | undefined;
/** The arm of an experiment: the control at first, as the server rendered it. */
export function useVariant(experiment: string): number;
/** A `ref` for the element that shows a hint: that it was seen is told once. */
export function useExposure(hint: Hint | undefined): (element: Element | null) => void;
