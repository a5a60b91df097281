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

/** Gives a `ref` for the element that shows a hint: that it was seen is told once. */
export const useExposure = (shown) => {
  const told = useRef();
  const end = useRef(() => {});
  const id = shown?.id;
  const slot = shown?.slot;
  return useCallback(
    (element) => {
      end.current();
      if (!element || !id) return;
      let timer;
      const eye = new IntersectionObserver(
        ([{ isIntersecting }]) => {
          timer = clearTimeout(timer);
          if (!isIntersecting || told.current === id) return;
          timer = setTimeout(() => {
            told.current = id;
            track("exposure", { hint: id, slot: slot || "page" });
          }, DWELL);
        },
        { threshold: 0.5 },
      );
      eye.observe(element);
      end.current = () => {
        clearTimeout(timer);
        eye.disconnect();
      };
    },
    [id, slot],
  );
};
