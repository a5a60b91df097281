// A shop's own events by name: `clickmill.shop.added(product)` and so on. They are the events that any
// page can send with `track`; here their types have names, and what the schemas do not know is left
// out, so that one product object of the shop's own serves all of them.
(() => {
  const { clickmill } = window;
  if (!clickmill) {
    console.warn("clickmill: clickmill_shop.js has to stand behind clickmill.js");
    return;
  }
  const PRODUCT = ["sku", "category", "price_cents", "currency"];
  const PLACE = ["list", "position", "hint"];
  const pick = (from, names) => {
    const some = {};
    for (const name of names) if (from?.[name] != null) some[name] = from[name];
    return some;
  };
  const LINE = ["sku", "category", "price_cents", "quantity", "hint"];
  const event =
    (type, ...names) =>
    (props) => {
      const some = pick(props, names);
      if (some.lines) some.lines = some.lines.map((line) => pick(line, LINE));
      return clickmill.track(type, some);
    };

  clickmill.shop = {
    viewed: event("product_view", ...PRODUCT, ...PLACE),
    clicked: event("product_click", ...PRODUCT, ...PLACE, "slot"),
    listed: event("list_view", "list", "category", "skus"),
    added: event("basket_add", ...PRODUCT, ...PLACE, "quantity"),
    removed: event("basket_remove", ...PRODUCT, "quantity"),
    basket: event("basket_view", "lines", "total_cents", "currency"),
    checkout: event("checkout_step", "step", "name", "items", "total_cents", "currency"),
    searched: event("search", "query", "category", "results"),
    ordered: event("order", "order", "lines", "total_cents", "currency", "coupon", "email"),
  };
})();
