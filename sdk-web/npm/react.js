// Hints and experiments for React. On a server there is no hint and everybody is in the control.

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { hint, subscribe, track, variant, variants } from "./index.js";

// A hint was seen when half of it was there for this long, ms.
const DWELL = 1000;

/** The hint of a slot; rendered anew when it is another one or none. */
export const useHint = (slot = "page") =>
  useSyncExternalStore(
    subscribe,
    () => hint(slot),
    () => undefined,
  );

/** The arm of an experiment: the control at first, as the server rendered it. */
export const useVariant = (experiment) => {
  const [arm, setArm] = useState(0);
  useEffect(() => {
    let isHere = true;
    variants().then(() => isHere && setArm(variant(experiment)));
    return () => {
      isHere = false;
    };
  }, [experiment]);
  return arm;
};

// Hints that were told of on this page.
const told = new Set();

/** Gives a `ref` for the element that shows a hint: that it was seen is told once. */
export const useExposure = (shown) => {
  const end = useRef(() => {});
  const id = shown?.id;
  const slot = shown?.slot;
  return useCallback(
    (element) => {
      end.current();
      if (!element || !id || told.has(id) || !window.IntersectionObserver) return;
      let timer;
      const seen = () => {
        if (!told.has(id) && track("exposure", { hint: id, slot: slot || "page" })) told.add(id);
      };
      const forget = () => {
        clearTimeout(timer);
        timer = undefined;
      };
      const eye = new IntersectionObserver(
        (entries) => {
          const { intersectionRatio, intersectionRect, rootBounds } = entries.at(-1);
          // An element that is higher than the window is seen when it fills half of it.
          const isThere = intersectionRatio >= 0.5 || intersectionRect.height >= rootBounds?.height / 2;
          if (!isThere) forget();
          else timer ??= setTimeout(seen, DWELL);
        },
        { threshold: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1] },
      );
      // Looking anew makes the observer speak even if the element was in view already.
      const look = () => {
        forget();
        eye.unobserve(element);
        if (!document.hidden) eye.observe(element);
      };
      look();
      document.addEventListener("visibilitychange", look);
      end.current = () => {
        document.removeEventListener("visibilitychange", look);
        forget();
        eye.disconnect();
      };
    },
    [id, slot],
  );
};
