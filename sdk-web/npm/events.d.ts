// Typed events, written by `clickmill-catalog codegen typescript`; a change here is lost.
// Bounds and patterns stand in the comments: the collector holds events to them, the compiler does not.

/** Two ids are one customer's: this one, and the customer in the event's context.
 *  Schema `alias/1`.
 */
export interface Alias {
  /** The id that was used before.
   *  Must have minLength `1`, maxLength `256`.
   *  Personal: taken out where the visitor has not consented.
   */
  previous: string;
}

/** The visitor asks to be told once a product that is sold out can be had again.
 *  Schema `back_in_stock_wanted/1`.
 */
export interface BackInStockWanted {
  /** The site's number of the product.
   *  Must have minLength `1`, maxLength `64`, pattern `^\P{Cc}+$`.
   */
  sku: string;
}

/** A product was put into the basket.
 *  Schema `basket_add/1`.
 */
export interface BasketAdd {
  /** The product's category.
   *  Must have minLength `1`, maxLength `64`.
   */
  category?: string;
  /** ISO 4217 code.
   *  Must have pattern `^[A-Z]{3}$`.
   */
  currency?: string;
  /** Id of the hint that led here.
   *  Must have minLength `1`, maxLength `256`.
   */
  hint?: string;
  /** Name of the list or row the product was shown in.
   *  Must have minLength `1`, maxLength `64`.
   */
  list?: string;
  /** Its place in that list, counted from 0.
   *  Must have minimum `0`, maximum `10000`.
   */
  position?: number;
  /** Price of one piece, in hundredths of the currency.
   *  Must have minimum `0`, maximum `1000000000`.
   */
  price_cents?: number;
  /** Pieces; 1 where it is missing.
   *  Must have minimum `1`, maximum `10000`.
   */
  quantity?: number;
  /** The site's number of the product.
   *  Must have minLength `1`, maxLength `64`, pattern `^\P{Cc}+$`.
   */
  sku: string;
}

/** A product was taken out of the basket.
 *  Schema `basket_remove/1`.
 */
export interface BasketRemove {
  /** The product's category.
   *  Must have minLength `1`, maxLength `64`.
   */
  category?: string;
  /** ISO 4217 code.
   *  Must have pattern `^[A-Z]{3}$`.
   */
  currency?: string;
  /** Price of one piece, in hundredths of the currency.
   *  Must have minimum `0`, maximum `1000000000`.
   */
  price_cents?: number;
  /** Pieces; 1 where it is missing.
   *  Must have minimum `1`, maximum `10000`.
   */
  quantity?: number;
  /** The site's number of the product.
   *  Must have minLength `1`, maxLength `64`, pattern `^\P{Cc}+$`.
   */
  sku: string;
}

export interface BasketViewLines {
  /** The product's category.
   *  Must have minLength `1`, maxLength `64`.
   */
  category?: string;
  /** Id of the hint that led here.
   *  Must have minLength `1`, maxLength `256`.
   */
  hint?: string;
  /** Price of one piece, in hundredths of the currency.
   *  Must have minimum `0`, maximum `1000000000`.
   */
  price_cents?: number;
  /** Pieces; 1 where it is missing.
   *  Must have minimum `1`, maximum `10000`.
   */
  quantity?: number;
  /** The site's number of the product.
   *  Must have minLength `1`, maxLength `64`, pattern `^\P{Cc}+$`.
   */
  sku: string;
}

/** The basket was looked at.
 *  Schema `basket_view/1`.
 */
export interface BasketView {
  /** ISO 4217 code.
   *  Must have pattern `^[A-Z]{3}$`.
   */
  currency?: string;
  /** What lies in it.
   *  Must have maxItems `500`.
   */
  lines?: Array<BasketViewLines>;
  /** Sum in hundredths of the currency.
   *  Must have minimum `0`, maximum `1000000000000`.
   */
  total_cents?: number;
}

/** A step of the checkout was reached.
 *  Schema `checkout_step/1`.
 */
export interface CheckoutStep {
  /** ISO 4217 code.
   *  Must have pattern `^[A-Z]{3}$`.
   */
  currency?: string;
  /** Pieces in the basket.
   *  Must have minimum `0`, maximum `100000`.
   */
  items?: number;
  /** The step's name.
   *  Must have minLength `1`, maxLength `64`.
   */
  name?: string;
  /** The step's number, counted from 1.
   *  Must have minimum `1`, maximum `50`.
   */
  step: number;
  /** Sum in hundredths of the currency.
   *  Must have minimum `0`, maximum `1000000000000`.
   */
  total_cents?: number;
}

/** A link or button was clicked that has no event type of its own.
 *  Schema `click/1`.
 */
export interface Click {
  /** The element's name, such as a or button.
   *  Must have minLength `1`, maxLength `32`.
   */
  element?: string;
  /** Id of the hint that led here.
   *  Must have minLength `1`, maxLength `256`.
   */
  hint?: string;
  /** Where the link leads.
   *  Must have maxLength `2048`.
   */
  href?: string;
  /** The element's id attribute.
   *  Must have minLength `1`, maxLength `128`.
   */
  id?: string;
  /** Its visible text, cut to this length.
   *  Must have maxLength `200`.
   */
  text?: string;
}

/** The visitor decided what may be done with their data.
 *  Schema `consent/1`.
 */
export interface Consent {
  /** Purposes that are allowed; what is not named is refused.
   *  Must have maxItems `4`, uniqueItems `true`.
   */
  granted: Array<"advertising" | "analytics" | "experiments" | "personalization">;
  /** Where it was decided. */
  source?: "banner" | "settings" | "browser";
}

/** What looks as if it did something was clicked, and nothing happened.
 *  Schema `dead_click/1`.
 */
export interface DeadClick {
  /** The element's name, such as a or button.
   *  Must have minLength `1`, maxLength `32`.
   */
  element: string;
  /** The element's id attribute.
   *  Must have minLength `1`, maxLength `128`.
   */
  id?: string;
}

/** A marked element was in view: half of it, for a second at least.
 *  Schema `element_view/1`.
 */
export interface ElementView {
  /** How long it was in view, milliseconds.
   *  Must have minimum `0`.
   */
  dwell_ms: number;
  /** Its name, from its data-cm-view.
   *  Must have minLength `1`, maxLength `128`.
   */
  element: string;
  /** Id of the hint that led here.
   *  Must have minLength `1`, maxLength `256`.
   */
  hint?: string;
  /** Name of the list or row the product was shown in.
   *  Must have minLength `1`, maxLength `64`.
   */
  list?: string;
  /** Its place in that list, counted from 0.
   *  Must have minimum `0`, maximum `10000`.
   */
  position?: number;
  /** The site's number of the product.
   *  Must have minLength `1`, maxLength `64`, pattern `^\P{Cc}+$`.
   */
  sku?: string;
}

/** Somebody was busy with a page; told when it goes out of sight or is left.
 *  Schema `engagement/1`.
 */
export interface Engagement {
  /** How long since this was last told, pauses of more than ten seconds left out, milliseconds.
   *  Must have minimum `0`.
   */
  engaged_ms: number;
  /** How much of the page was ever above the window's lower edge, percent.
   *  Must have minimum `0`, maximum `100`.
   */
  scroll_percent?: number;
}

/** A visitor met an arm of an experiment; once for each page view.
 *  Schema `experiment_view/1`.
 */
export interface ExperimentView {
  /** The arm, counted from 0, the control.
   *  Must have minimum `0`, maximum `100`.
   */
  arm: number;
  /** The experiment's key.
   *  Must have minLength `1`, maxLength `64`.
   */
  experiment: string;
}

/** A hint became visible to the visitor.
 *  Schema `exposure/1`.
 */
export interface Exposure {
  /** Id of the hint that led here.
   *  Must have minLength `1`, maxLength `256`.
   */
  hint: string;
  /** Its place in that list, counted from 0.
   *  Must have minimum `0`, maximum `10000`.
   */
  position?: number;
  /** The site's number of the product.
   *  Must have minLength `1`, maxLength `64`, pattern `^\P{Cc}+$`.
   */
  sku?: string;
  /** Name of the place on the page that the hint filled.
   *  Must have maxLength `64`, pattern `^[a-z][a-z0-9-]*$`.
   */
  slot: string;
}

/** A link to a file was followed.
 *  Schema `file_download/1`.
 */
export interface FileDownload {
  /** The file's address, without query and fragment.
   *  Must have minLength `1`, maxLength `2048`.
   */
  href: string;
  /** The file's name.
   *  Must have minLength `1`, maxLength `128`.
   */
  name?: string;
}

/** A form was begun, and its page left before it was sent off.
 *  Schema `form_abandon/1`.
 */
export interface FormAbandon {
  /** From the first change to the end of the page, milliseconds.
   *  Must have minimum `0`.
   */
  after_ms?: number;
  /** The last field's id or name.
   *  Must have minLength `1`, maxLength `128`.
   */
  field?: string;
  /** The form's id or name.
   *  Must have minLength `1`, maxLength `128`.
   */
  form?: string;
}

/** Somebody began to fill in a form.
 *  Schema `form_start/1`.
 */
export interface FormStart {
  /** The first field's id or name.
   *  Must have minLength `1`, maxLength `128`.
   */
  field?: string;
  /** The form's id or name.
   *  Must have minLength `1`, maxLength `128`.
   */
  form?: string;
}

/** A form was sent off.
 *  Schema `form_submit/1`.
 */
export interface FormSubmit {
  /** The form's id or name.
   *  Must have minLength `1`, maxLength `128`.
   */
  form?: string;
}

/** What is known of them, by whatever names the site uses.
 *  Personal: taken out where the visitor has not consented.
 */
export interface GroupTraits {
  [more: string]: unknown;
}

/** The customer belongs to a group, such as a company.
 *  Schema `group/1`.
 */
export interface Group {
  /** The site's id of the group.
   *  Must have minLength `1`, maxLength `256`.
   */
  group: string;
  /** What is known of them, by whatever names the site uses.
   *  Personal: taken out where the visitor has not consented.
   */
  traits?: GroupTraits;
}

/** What is known of them, by whatever names the site uses.
 *  Personal: taken out where the visitor has not consented.
 */
export interface IdentifyTraits {
  [more: string]: unknown;
}

/** Who the visitor is was learned. The customer stands in the event's context.
 *  Schema `identify/1`.
 */
export interface Identify {
  /** The customer, where the sender says it here, too.
   *  Must have minLength `1`, maxLength `128`.
   *  Personal: taken out where the visitor has not consented.
   */
  customer?: string;
  /** What the site's server says of that, for whoever is to believe it: a signature of the customer's id.
   *  Must have minLength `1`, maxLength `512`.
   *  Personal: taken out where the visitor has not consented.
   */
  proof?: string;
  /** What is known of them, by whatever names the site uses.
   *  Personal: taken out where the visitor has not consented.
   */
  traits?: IdentifyTraits;
}

/** A script of the page failed.
 *  Schema `js_error/1`.
 */
export interface JsError {
  /** Column in it.
   *  Must have minimum `0`.
   */
  column?: number;
  /** Whether further ones of this page are not told. */
  is_last?: boolean;
  /** Whether it was thrown, or a promise that nobody heard was refused. */
  kind: "error" | "rejection";
  /** Line in it.
   *  Must have minimum `0`.
   */
  line?: number;
  /** What it says; scripts also say names and addresses.
   *  Must have minLength `1`, maxLength `256`.
   *  Personal: taken out where the visitor has not consented.
   */
  message?: string;
  /** The error's name, such as TypeError.
   *  Must have minLength `1`, maxLength `64`.
   */
  name?: string;
  /** The script's address, without query and fragment.
   *  Must have minLength `1`, maxLength `2048`.
   */
  source?: string;
  /** Where it came from, addresses without their queries.
   *  Must have minLength `1`, maxLength `1024`.
   *  Personal: taken out where the visitor has not consented.
   */
  stack?: string;
}

/** A list of products was shown, within a page or without a page view of its own.
 *  Schema `list_view/1`.
 */
export interface ListView {
  /** The category that the list shows.
   *  Must have minLength `1`, maxLength `64`.
   */
  category?: string;
  /** Name of the list or row.
   *  Must have minLength `1`, maxLength `64`.
   */
  list?: string;
  /** The products in it, in their order.
   *  Must have maxItems `500`.
   */
  skus?: Array<string>;
}

/** The visitor logged in. Who it is stands in the event's context.
 *  Schema `login/1`.
 */
export interface Login {
  /** How, such as password or link.
   *  Must have minLength `1`, maxLength `32`.
   */
  method?: string;
}

/** The visitor logged out. What comes after it in this browser is another visitor's.
 *  Schema `logout/1`.
 */
export interface Logout {
}

/** What became of a film or a sound.
 *  Schema `media/1`.
 */
export interface Media {
  /** Begun, a mark passed, ended, or left before that. */
  action: "start" | "progress" | "end" | "leave";
  /** How long it is, milliseconds.
   *  Must have minimum `0`.
   */
  duration_ms?: number;
  /** What it is. */
  kind: "audio" | "video";
  /** Its name: data-cm-media, or the element's id.
   *  Must have minLength `1`, maxLength `128`.
   */
  media: string;
  /** The mark that was passed.
   *  Must have minimum `0`, maximum `100`.
   */
  percent?: number;
  /** How long it was really played, milliseconds.
   *  Must have minimum `0`.
   */
  played_ms?: number;
  /** Where it stands, milliseconds.
   *  Must have minimum `0`.
   */
  position_ms?: number;
}

export interface OrderLines {
  /** The product's category.
   *  Must have minLength `1`, maxLength `64`.
   */
  category?: string;
  /** Id of the hint that led here.
   *  Must have minLength `1`, maxLength `256`.
   */
  hint?: string;
  /** Price of one piece, in hundredths of the currency.
   *  Must have minimum `0`, maximum `1000000000`.
   */
  price_cents: number;
  /** Pieces; 1 where it is missing.
   *  Must have minimum `1`, maximum `10000`.
   */
  quantity?: number;
  /** The site's number of the product.
   *  Must have minLength `1`, maxLength `64`, pattern `^\P{Cc}+$`.
   */
  sku: string;
}

/** An order was placed.
 *  Schema `order/1`.
 */
export interface Order {
  /** Code of a voucher that was used.
   *  Must have minLength `1`, maxLength `64`.
   */
  coupon?: string;
  /** ISO 4217 code.
   *  Must have pattern `^[A-Z]{3}$`.
   */
  currency: string;
  /** Address of the customer, where the site chooses to send it.
   *  Must have minLength `3`, maxLength `254`, pattern `^[^@\s]+@[^@\s]+$`.
   *  Personal: taken out where the visitor has not consented.
   */
  email?: string;
  /** What was ordered.
   *  Must have minItems `1`, maxItems `500`.
   */
  lines: Array<OrderLines>;
  /** The site's number of the order.
   *  Must have minLength `1`, maxLength `64`.
   */
  order: string;
  /** Sum in hundredths of the currency.
   *  Must have minimum `0`, maximum `1000000000000`.
   */
  total_cents: number;
}

/** A link was followed that leads to another site.
 *  Schema `outbound_click/1`.
 */
export interface OutboundClick {
  /** The other site's host.
   *  Must have minLength `1`, maxLength `128`.
   */
  host?: string;
  /** Where it leads, without query and fragment.
   *  Must have minLength `1`, maxLength `2048`.
   */
  href: string;
}

/** A page was shown. Address and title are in the event's context.
 *  Schema `page_view/1`.
 */
export interface PageView {
  /** The site's name of the sort of page it is.
   *  Must have minLength `1`, maxLength `256`.
   */
  category?: string;
  /** What sort of page it is. */
  kind?: "home" | "category" | "product" | "basket" | "checkout" | "search" | "other";
  /** The site's name of the page.
   *  Must have minLength `1`, maxLength `256`.
   */
  name?: string;
  /** How it came up: loaded, by a route change inside the page, or restored from the browser's cache. */
  navigation?: "load" | "route" | "restore";
}

/** A product was clicked in a list, a row or a hint.
 *  Schema `product_click/1`.
 */
export interface ProductClick {
  /** The product's category.
   *  Must have minLength `1`, maxLength `64`.
   */
  category?: string;
  /** ISO 4217 code.
   *  Must have pattern `^[A-Z]{3}$`.
   */
  currency?: string;
  /** Id of the hint that led here.
   *  Must have minLength `1`, maxLength `256`.
   */
  hint?: string;
  /** Name of the list or row the product was shown in.
   *  Must have minLength `1`, maxLength `64`.
   */
  list?: string;
  /** Its place in that list, counted from 0.
   *  Must have minimum `0`, maximum `10000`.
   */
  position?: number;
  /** Price of one piece, in hundredths of the currency.
   *  Must have minimum `0`, maximum `1000000000`.
   */
  price_cents?: number;
  /** The site's number of the product.
   *  Must have minLength `1`, maxLength `64`, pattern `^\P{Cc}+$`.
   */
  sku: string;
  /** Name of the place on the page that the hint filled.
   *  Must have maxLength `64`, pattern `^[a-z][a-z0-9-]*$`.
   */
  slot?: string;
}

/** A product's page or details were looked at.
 *  Schema `product_view/1`.
 */
export interface ProductView {
  /** The product's category.
   *  Must have minLength `1`, maxLength `64`.
   */
  category?: string;
  /** ISO 4217 code.
   *  Must have pattern `^[A-Z]{3}$`.
   */
  currency?: string;
  /** Id of the hint that led here.
   *  Must have minLength `1`, maxLength `256`.
   */
  hint?: string;
  /** Name of the list or row the product was shown in.
   *  Must have minLength `1`, maxLength `64`.
   */
  list?: string;
  /** Its place in that list, counted from 0.
   *  Must have minimum `0`, maximum `10000`.
   */
  position?: number;
  /** Price of one piece, in hundredths of the currency.
   *  Must have minimum `0`, maximum `1000000000`.
   */
  price_cents?: number;
  /** The site's number of the product.
   *  Must have minLength `1`, maxLength `64`, pattern `^\P{Cc}+$`.
   */
  sku: string;
}

/** The same place was clicked again and again.
 *  Schema `rage_click/1`.
 */
export interface RageClick {
  /** How often.
   *  Must have minimum `2`, maximum `1000`.
   */
  clicks: number;
  /** The element's name, such as a or button.
   *  Must have minLength `1`, maxLength `32`.
   */
  element: string;
  /** The element's id attribute.
   *  Must have minLength `1`, maxLength `128`.
   */
  id?: string;
}

/** A screen of an app was shown.
 *  Schema `screen_view/1`.
 */
export interface ScreenView {
  /** The site's name of the sort of screen it is.
   *  Must have minLength `1`, maxLength `256`.
   */
  category?: string;
  /** The site's name of the screen.
   *  Must have minLength `1`, maxLength `256`.
   */
  name?: string;
}

/** The site's search was used.
 *  Schema `search/1`.
 */
export interface Search {
  /** The product's category.
   *  Must have minLength `1`, maxLength `64`.
   */
  category?: string;
  /** What was typed; people also type names and addresses.
   *  Must have maxLength `256`.
   *  Personal: taken out where the visitor has not consented.
   */
  query: string;
  /** How many products were found.
   *  Must have minimum `0`, maximum `10000000`.
   */
  results?: number;
}

/** How a page felt; of one metric and page view the last one counts.
 *  Schema `web_vital/1`.
 */
export interface WebVital {
  /** Time to first byte, largest paint, slowest interaction (ms each) or layout shift (a score). */
  metric: "ttfb" | "lcp" | "inp" | "cls";
  /** By the bounds that browsers' makers publish. */
  rating?: "good" | "fair" | "poor";
  /** Milliseconds, or the score.
   *  Must have minimum `0`.
   */
  value: number;
}

/** The properties of each event type. */
export interface EventProps {
  alias: Alias;
  back_in_stock_wanted: BackInStockWanted;
  basket_add: BasketAdd;
  basket_remove: BasketRemove;
  basket_view: BasketView;
  checkout_step: CheckoutStep;
  click: Click;
  consent: Consent;
  dead_click: DeadClick;
  element_view: ElementView;
  engagement: Engagement;
  experiment_view: ExperimentView;
  exposure: Exposure;
  file_download: FileDownload;
  form_abandon: FormAbandon;
  form_start: FormStart;
  form_submit: FormSubmit;
  group: Group;
  identify: Identify;
  js_error: JsError;
  list_view: ListView;
  login: Login;
  logout: Logout;
  media: Media;
  order: Order;
  outbound_click: OutboundClick;
  page_view: PageView;
  product_click: ProductClick;
  product_view: ProductView;
  rage_click: RageClick;
  screen_view: ScreenView;
  search: Search;
  web_vital: WebVital;
}

/** An event, told apart by its `type`. */
export type TypedEvent =
  | { type: "alias"; props: Alias }
  | { type: "back_in_stock_wanted"; props: BackInStockWanted }
  | { type: "basket_add"; props: BasketAdd }
  | { type: "basket_remove"; props: BasketRemove }
  | { type: "basket_view"; props: BasketView }
  | { type: "checkout_step"; props: CheckoutStep }
  | { type: "click"; props: Click }
  | { type: "consent"; props: Consent }
  | { type: "dead_click"; props: DeadClick }
  | { type: "element_view"; props: ElementView }
  | { type: "engagement"; props: Engagement }
  | { type: "experiment_view"; props: ExperimentView }
  | { type: "exposure"; props: Exposure }
  | { type: "file_download"; props: FileDownload }
  | { type: "form_abandon"; props: FormAbandon }
  | { type: "form_start"; props: FormStart }
  | { type: "form_submit"; props: FormSubmit }
  | { type: "group"; props: Group }
  | { type: "identify"; props: Identify }
  | { type: "js_error"; props: JsError }
  | { type: "list_view"; props: ListView }
  | { type: "login"; props: Login }
  | { type: "logout"; props: Logout }
  | { type: "media"; props: Media }
  | { type: "order"; props: Order }
  | { type: "outbound_click"; props: OutboundClick }
  | { type: "page_view"; props: PageView }
  | { type: "product_click"; props: ProductClick }
  | { type: "product_view"; props: ProductView }
  | { type: "rage_click"; props: RageClick }
  | { type: "screen_view"; props: ScreenView }
  | { type: "search"; props: Search }
  | { type: "web_vital"; props: WebVital };
