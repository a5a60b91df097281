// A product page in React: suggestions that come while it is open, and a headline in two versions. What
// the page needs to know stands in `data-clickmill` of its element `main`: the settings of `init`.
import { createRoot } from "react-dom/client";
import { init } from "clickmill";
import experiments from "clickmill/experiments";
import { useExposure, useHint, useVariant } from "clickmill/react";

const main = document.querySelector("main");
init({ ...JSON.parse(main.dataset.clickmill), plugins: [experiments()] });

const HEADLINES = ["For you", "Others also looked at"];

/** What the relay suggests; its place is kept while there is nothing, so that nothing moves. */
const Suggested = () => {
  const hint = useHint("suggested");
  const seen = useExposure(hint);
  const headline = HEADLINES[useVariant("headline")];
  const click = (sku) => JSON.stringify({ sku, hint: hint.id, slot: "suggested" });
  return (
    <section aria-label={headline} style={{ minHeight: "12rem" }}>
      <h2>{headline}</h2>
      <ul ref={seen}>
        {hint?.content.items?.map(({ sku, name }) => (
          <li key={sku}>
            <a href={`/p/${sku}`} data-cm-click="product_click" data-cm-props={click(sku)}>
              {name ?? sku}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
};

createRoot(main).render(<Suggested />);
