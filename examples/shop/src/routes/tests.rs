//! What each path answers.

use clickmill_sdk_core::wire::{Millis, Tenant, VisitorId};
use serde_json::Value;

use super::*;
use crate::ask::Fields;
use crate::proof::ProofKey;
use crate::sessions::SessionId;
use crate::shop::Tracking;

const NOW_MS: u64 = 1_795_476_000_000;
const PROOF_KEY: &str = "k:0123456789abcdef";

/// A visitor with a cookie jar.
struct Visitor<'a> {
    shop: &'a Shop,
    session: Option<SessionId>,
    random: u128,
}

impl<'a> Visitor<'a> {
    fn of(shop: &'a Shop) -> Self {
        Self { shop, session: None, random: 1 }
    }

    fn ask(&mut self, verb: Verb, address: &str, form: &str) -> Answer {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        self.random += 1;
        let ask = Ask {
            verb,
            path: path.to_owned(),
            query: Fields::read(query.as_bytes()),
            form: Fields::read(form.as_bytes()),
            session: self.session,
            random: self.random,
            now_ms: NOW_MS,
        };
        let answer = answer(self.shop, &ask);
        self.session = answer.session.or(self.session);
        answer
    }

    fn get(&mut self, address: &str) -> Content {
        self.ask(Verb::Get, address, "").content
    }

    fn page(&mut self, address: &str) -> String {
        match self.get(address) {
            Content::Page(markup) => markup.into_string(),
            other => panic!("{address} is no page: {other:?}"),
        }
    }

    fn post(&mut self, path: &str, form: &str) -> Content {
        self.ask(Verb::Post, path, form).content
    }

    fn sent_to(&mut self, path: &str, form: &str) -> String {
        match self.post(path, form) {
            Content::See(to) => to,
            other => panic!("{path} leads nowhere: {other:?}"),
        }
    }
}

const ADDRESS: &str = "name=Ada&email=ada%40example.com&street=1+Mill+Lane&town=Ely&postcode=CB7";

fn shop() -> Shop {
    Shop::open(None).unwrap()
}

fn tracked() -> Shop {
    let tenant = Tenant::parse("shop").unwrap();
    let tracking = Tracking {
        collector: "http://127.0.0.1:8081".into(),
        hints: "http://127.0.0.1:8082".into(),
        write_key: "demo".into(),
        proofs: Some(ProofKey::parse(PROOF_KEY, tenant).unwrap()),
    };
    Shop::open(Some(tracking)).unwrap()
}

#[test]
fn every_department_and_product_has_a_page() {
    let shop = shop();
    let mut visitor = Visitor::of(&shop);
    for category in shop.catalogue.categories() {
        let page = visitor.page(&format!("/c/{}", category.slug));
        assert!(page.contains(&category.name));
    }
    for product in shop.catalogue.products() {
        let page = visitor.page(&product.url());
        assert!(page.contains(&shop.catalogue.currency().show(product.price_cents)));
        assert!(matches!(visitor.get(&product.image()), Content::Picture(_)));
    }
    for address in ["/", "/search", "/search?q=kettle", "/basket", "/login"] {
        visitor.page(address);
    }
    assert!(visitor.session.is_none(), "looking around begins no session");
}

#[test]
fn addresses_that_lead_nowhere_say_so() {
    let shop = shop();
    let mut visitor = Visitor::of(&shop);
    for address in [
        "/c/boats",
        "/p/KET-99",
        "/img/KET-99.svg",
        "/img/KET-1.png",
        "/thanks/HW-1",
        "/x/y/z",
        "/p",
    ] {
        assert!(matches!(visitor.get(address), Content::Missing(_)), "{address}");
    }
    for path in ["/", "/c/kettles", "/basket", "/nowhere"] {
        assert!(matches!(visitor.post(path, ""), Content::WrongVerb), "{path}");
    }
    for address in ["/basket/add", "/logout", "/proof"] {
        assert!(matches!(visitor.get(address), Content::WrongVerb), "{address}");
    }
    assert!(matches!(visitor.get("/healthz"), Content::Text(text) if text == "ok\n"));
}

#[test]
fn what_visitors_type_is_escaped() {
    let shop = shop();
    let mut visitor = Visitor::of(&shop);
    let bad = "%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%27";
    let page = visitor.page(&format!("/search?q={bad}"));
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"));
    visitor.post("/basket/add", "sku=KET-1");
    let form = format!("name={bad}&email=a%40b&street=x&town=y&postcode=");
    let Content::Unfit(form) = visitor.post("/checkout", &form) else { panic!("it was fit") };
    assert!(!form.into_string().contains("<script>alert"));
    let Content::Unfit(login) = visitor.post("/login", &format!("email={bad}")) else {
        panic!("it was fit")
    };
    assert!(!login.into_string().contains("<script>alert"));
}

#[test]
fn a_basket_is_filled_and_emptied() {
    let shop = shop();
    let mut visitor = Visitor::of(&shop);
    assert_eq!(visitor.sent_to("/basket/add", "sku=KET-1&quantity=2"), "/basket");
    assert!(visitor.session.is_some());
    let page = visitor.page("/basket");
    assert!(page.contains("2 × Dawn gooseneck kettle are in your basket."));
    assert!(page.contains("£79.98"));
    assert!(!visitor.page("/basket").contains("in your basket."), "said once");
    visitor.post("/basket/remove", "sku=KET-1&quantity=1");
    assert!(visitor.page("/basket").contains("£39.99"));
    visitor.post("/basket/remove", "sku=KET-1");
    assert!(visitor.page("/basket").contains("nothing in it yet"));
    assert!(matches!(visitor.post("/basket/add", "sku=KET-99"), Content::Missing(_)));
}

#[test]
fn what_is_sold_out_cannot_be_had() {
    let shop = shop();
    let mut visitor = Visitor::of(&shop);
    let page = visitor.page("/p/TOA-4");
    assert!(page.contains("Sold out") && !page.contains("Add to basket"));
    visitor.post("/basket/add", "sku=TOA-4");
    assert!(visitor.page("/basket").contains("Window toaster: that is all we have of it."));
}

#[test]
fn an_order_takes_stock_and_tells_the_new_level() {
    let shop = shop();
    let mut visitor = Visitor::of(&shop);
    visitor.post("/basket/add", "sku=HEA-4&quantity=2");
    let answer = visitor.ask(Verb::Post, "/checkout", ADDRESS);
    let levels: Vec<(&str, u32)> =
        answer.levels.iter().map(|level| (level.sku.as_str(), level.available)).collect();
    assert_eq!(levels, [("HEA-4", 0)]);
    let Content::See(thanks) = answer.content else { panic!("no order") };
    let page = visitor.page(&thanks);
    assert!(page.contains("Thank you, Ada."));
    assert_eq!(page.matches("data-report=\"order\"").count(), 1);
    assert!(!visitor.page(&thanks).contains("data-report=\"order\""), "reported once");
    assert!(visitor.page("/p/HEA-4").contains("Sold out"));
    assert_eq!(visitor.sent_to("/checkout", ADDRESS), "/basket", "the basket is empty now");
    let mut other = Visitor { random: 100, ..Visitor::of(&shop) };
    other.post("/basket/add", "sku=KET-1");
    assert!(matches!(other.get(&thanks), Content::Missing(_)), "an order is nobody else's");
}

#[test]
fn the_last_piece_goes_to_whoever_orders_first() {
    let shop = shop();
    let mut first = Visitor::of(&shop);
    let mut second = Visitor { random: 100, ..Visitor::of(&shop) };
    first.post("/basket/add", "sku=FRI-3&quantity=2");
    second.post("/basket/add", "sku=FRI-3&quantity=1");
    second.post("/basket/add", "sku=KET-1");
    assert!(first.sent_to("/checkout", ADDRESS).starts_with("/thanks/"));
    assert_eq!(second.sent_to("/checkout", ADDRESS), "/basket");
    let page = second.page("/basket");
    assert!(page.contains("sold out while you were shopping"));
    assert!(page.contains("Dawn gooseneck kettle"));
    assert!(second.sent_to("/checkout", ADDRESS).starts_with("/thanks/"));
}

#[test]
fn a_faulty_form_comes_back_filled_in() {
    let shop = shop();
    let mut visitor = Visitor::of(&shop);
    visitor.post("/basket/add", "sku=KET-1");
    let faulty = ADDRESS.replace("ada%40example.com", "nobody");
    let Content::Unfit(page) = visitor.post("/checkout", &faulty) else { panic!("it was fit") };
    let page = page.into_string();
    assert!(page.contains("value=\"1 Mill Lane\""));
    assert!(page.contains("aria-invalid=\"true\" aria-describedby=\"email-fault\""));
    assert_eq!(page.matches("aria-invalid").count(), 1);
}

/// What the page tells its script of who is signed in.
fn customer_on(page: &str) -> Option<&str> {
    page.split("data-customer=\"").nth(1)?.split('"').next()
}

#[test]
fn a_proof_is_for_whoever_is_signed_in_and_for_the_visitor_that_the_page_names() {
    let shop = tracked();
    let mut visitor = Visitor::of(&shop);
    assert_eq!(customer_on(&visitor.page("/")), None);
    assert!(matches!(visitor.post("/proof", "visitor=v1"), Content::Missing(_)), "nobody is there");
    let known = visitor.ask(Verb::Post, "/login", "email=Ada%40Example.com").customer.unwrap();
    assert_eq!(known.segment.as_deref(), Some("member"));
    let page = visitor.page("/");
    assert_eq!(customer_on(&page), Some(known.customer.as_str()));
    let Content::Text(proof) = visitor.post("/proof", "visitor=v1") else { panic!("no proof") };
    let key = ProofKey::parse(PROOF_KEY, Tenant::parse("shop").unwrap()).unwrap();
    let named = VisitorId::parse("v1").unwrap();
    assert_eq!(Some(proof), key.sign(&known.customer, &named, NOW_MS));
    for none in ["", "visitor=", "visitor=a%0Ab"] {
        assert!(matches!(visitor.post("/proof", none), Content::Missing(_)), "{none}");
    }
    visitor.post("/logout", "");
    assert_eq!(customer_on(&visitor.page("/")), None);
    assert!(matches!(visitor.post("/proof", "visitor=v1"), Content::Missing(_)), "nobody is there");
}

#[test]
fn what_is_known_of_a_customer_follows_their_orders() {
    let shop = shop();
    let mut visitor = Visitor::of(&shop);
    visitor.post("/login", "email=ada%40example.com");
    let mut order = |form: &str| {
        visitor.post("/basket/add", form);
        visitor.ask(Verb::Post, "/checkout", ADDRESS).customer
    };
    let first = order("sku=KET-1").unwrap();
    assert_eq!((first.segment.as_deref(), first.orders), (Some("regular"), 1));
    let next = order("sku=TEL-2").unwrap();
    assert_eq!((next.segment.as_deref(), next.orders), (Some("gold"), 2));
    assert!(next.spent_cents > first.spent_cents && next.last_order_at == Some(Millis(NOW_MS)));
    let bought: Vec<&str> = next.bought.iter().map(|one| one.sku.as_str()).collect();
    assert_eq!(bought, ["TEL-2", "KET-1"], "the newest first");
    let mut guest = Visitor { random: 100, ..Visitor::of(&shop) };
    guest.post("/basket/add", "sku=KET-1");
    assert_eq!(
        guest.ask(Verb::Post, "/checkout", ADDRESS).customer,
        None,
        "an address proves nothing"
    );
}

#[test]
fn a_login_changes_the_session_and_keeps_the_basket() {
    let shop = shop();
    let mut visitor = Visitor::of(&shop);
    visitor.post("/basket/add", "sku=KET-1");
    let before = visitor.session;
    assert_eq!(visitor.sent_to("/login", "email=Ada%40Example.com&next=/basket"), "/basket");
    assert_ne!(visitor.session, before);
    let page = visitor.page("/checkout");
    assert!(page.contains("value=\"ada@example.com\""));
    assert_eq!(visitor.sent_to("/logout", ""), "/");
    let page = visitor.page("/basket");
    assert!(page.contains("Sign in") && page.contains("Dawn gooseneck kettle"));
    let mut thief = Visitor { session: before, ..Visitor::of(&shop) };
    assert!(thief.page("/basket").contains("nothing in it yet"), "the old id is worth nothing");
}

#[test]
fn a_form_sends_nobody_to_another_site() {
    let check = |next, expected| assert_eq!(local(next), expected, "{next}");
    check("/basket", "/basket");
    check("", "/");
    check("//evil.example", "/");
    check("/\\evil.example", "/");
    check("https://evil.example", "/");
    check("/a\r\nSet-Cookie: x", "/");
}

#[test]
fn slots_and_sdk_are_there_only_when_pages_are_tracked() {
    let (plain, tracked) = (shop(), tracked());
    let page = Visitor::of(&plain).page("/p/KET-1");
    for absent in ["clickmill-slot", "/sdk/", "data-strip"] {
        assert!(!page.contains(absent), "{absent}");
    }
    let page = Visitor::of(&tracked).page("/p/KET-1");
    for present in [
        "<clickmill-slot class=\"shelf\" name=\"product-below\"",
        "<clickmill-slot class=\"shelf\" name=\"suggested\"",
        "data-page-kind=\"product\"",
        "src=\"/sdk/clickmill.js\"",
        "src=\"/sdk/clickmill_slots.js\"",
        "data-collector=\"http://127.0.0.1:8081\"",
        "data-hints=\"http://127.0.0.1:8082\"",
        "data-strip",
    ] {
        assert!(page.contains(present), "{present}");
    }
}

#[test]
fn clicks_carry_the_product_as_json() {
    let shop = shop();
    let page = Visitor::of(&shop).page("/c/kettles");
    assert!(page.contains("data-cm-click=\"product_click\""));
    let props = "{&quot;category&quot;:&quot;kettles&quot;,&quot;currency&quot;:&quot;GBP&quot;,\
                 &quot;list&quot;:&quot;department&quot;,&quot;position&quot;:0,\
                 &quot;price_cents&quot;:3999,&quot;sku&quot;:&quot;KET-1&quot;}";
    assert!(page.contains(props), "{page}");
}

/// The events that a page announces: type and properties.
fn events(page: &str) -> Vec<(String, Value)> {
    let unescape = |text: &str| {
        text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    };
    let attribute = |tag: &str, name: &str| {
        let rest = tag.split_once(&format!(" {name}=\""))?.1;
        Some(unescape(rest.split_once('"')?.0))
    };
    let tags = page.split('<').map(|tag| tag.split('>').next().unwrap());
    tags.filter_map(|tag| {
        let clicked = attribute(tag, "data-cm-click").zip(attribute(tag, "data-cm-props"));
        let reported = attribute(tag, "data-report").zip(attribute(tag, "data-props"));
        let (event, props) = clicked.or(reported)?;
        Some((event, serde_json::from_str(&props).unwrap()))
    })
    .collect()
}

#[test]
fn every_event_of_every_page_fits_its_schema() {
    let shop = tracked();
    let mut visitor = Visitor::of(&shop);
    let mut pages: Vec<String> = shop.catalogue.products().iter().map(|p| p.url()).collect();
    pages.extend(
        ["/", "/c/laundry", "/search?q=%22quiet%22+%3C", "/search?q=kettle"].map(String::from),
    );
    let mut seen: Vec<(String, Value)> =
        pages.iter().flat_map(|address| events(&visitor.page(address))).collect();
    visitor.post("/login", "email=ada%40example.com");
    seen.extend(events(&visitor.page("/")));
    visitor.post("/basket/add", "sku=KET-1&quantity=3");
    seen.extend(events(&visitor.page("/basket")));
    visitor.post("/basket/remove", "sku=KET-1&quantity=1");
    seen.extend(events(&visitor.page("/basket")));
    seen.extend(events(&visitor.page("/checkout")));
    let thanks = visitor.sent_to("/checkout", ADDRESS);
    seen.extend(events(&visitor.page(&thanks)));

    let mut schemas = std::collections::BTreeMap::new();
    for (event, props) in &seen {
        let schema = schemas.entry(event.as_str()).or_insert_with(|| {
            let path =
                format!("{}/../../catalog/schemas/{event}/1.json", env!("CARGO_MANIFEST_DIR"));
            let text =
                std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
        });
        let faults: Vec<String> =
            schema.iter_errors(props).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{event} {props}: {faults:?}");
    }
    let types: Vec<&str> = schemas.into_keys().collect();
    let expected = [
        "basket_add",
        "basket_remove",
        "checkout_step",
        "list_view",
        "login",
        "order",
        "product_click",
        "product_view",
        "search",
    ];
    assert_eq!(types, expected);
}

#[test]
fn a_department_can_be_put_in_order() {
    let shop = shop();
    let mut visitor = Visitor::of(&shop);
    let first = |page: String| {
        let goods = page.split("goods department").nth(1).unwrap().to_owned();
        goods.split("href=\"/p/").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    assert_eq!(first(visitor.page("/c/kettles")), "KET-1");
    assert_eq!(first(visitor.page("/c/kettles?sort=price")), "KET-5");
    assert_eq!(first(visitor.page("/c/kettles?sort=price-down")), "KET-2");
    // Sold out goes last, though it is the first but one in price.
    let page = visitor.page("/c/toasters?sort=price-down");
    assert!(page.rfind("href=\"/p/TOA-4\"") > page.rfind("href=\"/p/TOA-1\""));
}
