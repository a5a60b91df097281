//! The events of Segment's e-commerce specification: which of our types each is, and which of its
//! properties ours has. What ours has not stays in `context.custom.segment.properties`.

use std::borrow::Cow;

use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{EventType, Json, ToJson};
use serde_json::value::RawValue;

use crate::dialect::fields::Fields;

/// An event of theirs, by the words of its name, and what it is here.
#[derive(Debug)]
pub(super) struct Meaning {
    theirs: &'static str,
    ours: &'static str,
    props: &'static [Prop],
}

/// A property of ours, and where it comes from: the first of these that fits.
#[derive(Debug)]
struct Prop {
    name: &'static str,
    from: &'static [&'static str],
    how: How,
}

/// How a property becomes ours.
#[derive(Clone, Copy, Debug)]
enum How {
    /// An amount in units of its currency becomes hundredths.
    Cents,
    /// It is always this.
    Fixed(&'static str),
    /// Products become lines.
    Lines,
    /// Products are counted by their quantities, and stay.
    Pieces,
    /// Products become their numbers.
    Skus,
    /// A text, or a number as one.
    Text,
    /// A whole number.
    Whole,
}

const fn prop(name: &'static str, from: &'static [&'static str], how: How) -> Prop {
    Prop { name, from, how }
}

const CATEGORY: Prop = prop("category", &["category"], How::Text);
const CURRENCY: Prop = prop("currency", &["currency"], How::Text);
const LINES: Prop = prop("lines", &["products"], How::Lines);
const PRICE: Prop = prop("price_cents", &["price"], How::Cents);
const QUANTITY: Prop = prop("quantity", &["quantity"], How::Whole);
const SKU: Prop = prop("sku", &["sku", "product_id"], How::Text);

/// A product among others.
const LINE: &[Prop] = &[SKU, CATEGORY, PRICE, QUANTITY];

/// All that is known of. A position is not taken: theirs may count from 0 or from 1, and no event
/// says which.
const TABLE: &[Meaning] = &[
    Meaning {
        theirs: "products_searched",
        ours: "search",
        props: &[prop("query", &["query"], How::Text)],
    },
    Meaning {
        theirs: "product_list_viewed",
        ours: "list_view",
        props: &[
            prop("list", &["list_id"], How::Text),
            CATEGORY,
            prop("skus", &["products"], How::Skus),
        ],
    },
    Meaning {
        theirs: "product_clicked",
        ours: "product_click",
        props: &[SKU, CATEGORY, PRICE, CURRENCY],
    },
    Meaning {
        theirs: "product_viewed",
        ours: "product_view",
        props: &[SKU, CATEGORY, PRICE, CURRENCY],
    },
    Meaning {
        theirs: "product_added",
        ours: "basket_add",
        props: &[SKU, CATEGORY, PRICE, CURRENCY, QUANTITY],
    },
    Meaning {
        theirs: "product_removed",
        ours: "basket_remove",
        props: &[SKU, CATEGORY, PRICE, CURRENCY, QUANTITY],
    },
    Meaning { theirs: "cart_viewed", ours: "basket_view", props: &[LINES, CURRENCY] },
    Meaning {
        theirs: "checkout_started",
        ours: "checkout_step",
        props: &[
            prop("step", &[], How::Fixed("1")),
            prop("name", &[], How::Fixed("\"started\"")),
            prop("items", &["products"], How::Pieces),
            prop("total_cents", &["value", "revenue"], How::Cents),
            CURRENCY,
        ],
    },
    Meaning {
        theirs: "checkout_step_viewed",
        ours: "checkout_step",
        props: &[prop("step", &["step"], How::Whole)],
    },
    Meaning {
        theirs: "order_completed",
        ours: "order",
        props: &[
            prop("order", &["order_id"], How::Text),
            LINES,
            prop("total_cents", &["total", "revenue"], How::Cents),
            CURRENCY,
            prop("coupon", &["coupon"], How::Text),
        ],
    },
];

impl Meaning {
    /// What an event of that name means, if the specification has it.
    pub(super) fn of(name: &EventType) -> Option<&'static Self> {
        TABLE.iter().find(|meaning| meaning.theirs == name.as_str())
    }

    /// Our type.
    pub(super) fn kind(&self) -> &'static str {
        self.ours
    }

    /// Our properties, taken out of theirs.
    pub(super) fn props(&self, fields: &mut Fields<'_>) -> Json {
        let taken = fields.within("properties", |theirs| taken(theirs, self.props));
        // What is always so holds without any property, too.
        taken.unwrap_or_else(|| taken_of_nothing(self.props))
    }
}

fn taken(theirs: &mut Fields<'_>, props: &[Prop]) -> Json {
    let mut w = Writer::default();
    w.object(|w| {
        for prop in props {
            if let Some(value) = prop.take(theirs) {
                w.key(prop.name).raw(&value);
            }
        }
    });
    Json::trusted(w.finish())
}

fn taken_of_nothing(props: &[Prop]) -> Json {
    taken(&mut Fields::default(), props)
}

impl Prop {
    /// Its JSON, taken from where it fits first. What does not fit stays.
    fn take(&self, theirs: &mut Fields<'_>) -> Option<Cow<'static, str>> {
        if let How::Fixed(json) = self.how {
            return Some(Cow::Borrowed(json));
        }
        self.from.iter().find_map(|from| self.take_from(theirs, from)).map(Cow::Owned)
    }

    fn take_from(&self, theirs: &mut Fields<'_>, from: &str) -> Option<String> {
        match self.how {
            How::Fixed(_) => None,
            How::Cents => {
                let cents = cents(&theirs.glance(from)?)?;
                theirs.take(from);
                Some(cents.to_string())
            }
            How::Whole => {
                let whole = whole(&theirs.glance(from)?)?;
                theirs.take(from);
                Some(whole.to_string())
            }
            How::Text => {
                // An empty one says nothing.
                let text = theirs.glance(from).filter(|text| !text.is_empty())?;
                theirs.take(from);
                Some(text.to_json())
            }
            How::Lines => products(theirs, from, |product| Some(taken(product, LINE))),
            How::Skus => products(theirs, from, |product| SKU.take(product).map(of_text)),
            How::Pieces => {
                let products: Vec<&RawValue> = serde_json::from_str(theirs.text_of(from)?).ok()?;
                let mut pieces = products.iter().map(|product| {
                    let quantity = Fields::read(product.get()).ok()?.glance("quantity");
                    quantity.map_or(Some(1), |quantity| whole(&quantity))
                });
                let all = pieces.try_fold(0_u64, |all, pieces| all.checked_add(pieces?));
                all.map(|all| all.to_string())
            }
        }
    }
}

fn of_text(json: Cow<'static, str>) -> Json {
    Json::trusted(json.into_owned())
}

/// A list of what `take` makes of each product. What it leaves of them stays; if one is no object or
/// gives nothing, all of them stay as they are.
fn products(
    theirs: &mut Fields<'_>,
    from: &str,
    take: impl Fn(&mut Fields<'_>) -> Option<Json>,
) -> Option<String> {
    let text = theirs.text_of(from)?.to_owned();
    let products: Vec<&RawValue> = serde_json::from_str(&text).ok()?;
    let mut left = Vec::with_capacity(products.len());
    let mut made = Vec::with_capacity(products.len());
    for product in products {
        let mut product = Fields::read(product.get()).ok()?;
        made.push(take(&mut product)?);
        left.push(product);
    }
    theirs.take(from);
    if left.iter().any(|left| !left.is_empty()) {
        theirs.put(from, list(&left));
    }
    Some(list(&made))
}

fn list<T: ToJson>(values: &[T]) -> String {
    let mut w = Writer::default();
    w.array(|w| values.iter().for_each(|value| value.write(w)));
    w.finish()
}

/// An amount in hundredths, to the nearest.
fn cents(amount: &str) -> Option<u64> {
    /// Above, a double does not hold every hundredth.
    const MAX: f64 = 90_000_000_000_000.0;
    let amount: f64 = amount.trim().parse().ok()?;
    let cents = (amount * 100.0).round();
    // Lossless: whole, and within the bounds.
    (0.0..=MAX * 100.0).contains(&cents).then_some(cents as u64)
}

fn whole(number: &str) -> Option<u64> {
    let number: f64 = number.trim().parse().ok()?;
    // Lossless: whole, and within what a double holds exactly.
    (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use clickmill_catalog::{Builtin, Resolved, SchemaSource, Schemas, Tree};
    use serde_json::{Value, json};

    use super::*;

    /// Type and properties that an event of theirs becomes, and what stays of its own.
    fn told(name: &str, properties: &Value) -> (&'static str, Value, Value) {
        let text = json!({ "properties": properties }).to_string();
        let mut fields = Fields::read(&text).unwrap();
        let meaning = Meaning::of(&EventType::parse(name).unwrap()).unwrap();
        let props = serde_json::from_str(meaning.props(&mut fields).as_str()).unwrap();
        let left: Value = serde_json::from_str(&fields.to_json()).unwrap();
        (meaning.kind(), props, left["properties"].clone())
    }

    /// The same, judged by our own schema for that type.
    fn check(name: &str, properties: &Value, (kind, props, left): (&str, Value, Value)) {
        let (our_kind, our_props, stays) = told(name, properties);
        assert_eq!((our_kind, &our_props, stays), (kind, &props, left), "{name} {properties}");
        let sources = vec![Box::new(Builtin) as Box<dyn SchemaSource>];
        let schemas = Schemas::open(sources).unwrap().0.load();
        let Resolved::Schema(schema) = schemas.resolve(kind, None) else { panic!("{kind}") };
        assert_eq!(schema.validate(&Tree::from(&our_props)), Ok(()), "{name} {properties}");
    }

    #[test]
    fn what_was_looked_for_and_looked_at() {
        check(
            "products_searched",
            &json!({"query": "blue kettle", "filters": 2}),
            ("search", json!({"query": "blue kettle"}), json!({"filters": 2})),
        );
        check(
            "product_list_viewed",
            &json!({"list_id": "hot", "category": "Kettles", "products": [
                {"product_id": "1", "sku": "KET-1", "position": 1}, {"product_id": 2}]}),
            (
                "list_view",
                json!({"list": "hot", "category": "Kettles", "skus": ["KET-1", "2"]}),
                json!({"products": [{"product_id": "1", "position": 1}, {}]}),
            ),
        );
        let product = json!({"product_id": "507f", "sku": "KET-1", "category": "Kettles",
            "name": "Kettle", "price": 39.99, "currency": "GBP", "position": 3});
        let ours = json!({"sku": "KET-1", "category": "Kettles", "price_cents": 3999,
            "currency": "GBP"});
        let left = json!({"product_id": "507f", "name": "Kettle", "position": 3});
        check("product_viewed", &product, ("product_view", ours.clone(), left.clone()));
        check("product_clicked", &product, ("product_click", ours, left));
    }

    #[test]
    fn what_went_into_the_basket_and_through_the_till() {
        let product = json!({"cart_id": "c1", "product_id": "KET-1", "price": "18.99",
            "quantity": "2"});
        let ours = json!({"sku": "KET-1", "price_cents": 1899, "quantity": 2});
        let left = json!({"cart_id": "c1"});
        check("product_added", &product, ("basket_add", ours.clone(), left.clone()));
        check("product_removed", &product, ("basket_remove", ours, left));
        let products = json!([{"sku": "KET-1", "price": 20, "quantity": 2, "brand": "B"},
            {"sku": "TEA-1", "price": 0.1}]);
        let lines = json!([{"sku": "KET-1", "price_cents": 2000, "quantity": 2},
            {"sku": "TEA-1", "price_cents": 10}]);
        check(
            "cart_viewed",
            &json!({"cart_id": "c1", "products": products}),
            (
                "basket_view",
                json!({ "lines": lines }),
                json!({"cart_id": "c1", "products": [{"brand": "B"}, {}]}),
            ),
        );
        check(
            "checkout_started",
            &json!({"order_id": "o1", "value": 40.1, "currency": "GBP", "products": products}),
            (
                "checkout_step",
                json!({"step": 1, "name": "started", "items": 3, "total_cents": 4010,
                    "currency": "GBP"}),
                json!({"order_id": "o1", "products": products}),
            ),
        );
        check(
            "checkout_step_viewed",
            &json!({"step": 2}),
            ("checkout_step", json!({"step": 2}), Value::Null),
        );
        check(
            "order_completed",
            &json!({"order_id": 17, "total": 40.1, "revenue": 33.2, "currency": "GBP",
                "coupon": "SPRING", "products": [{"sku": "KET-1", "price": 20, "quantity": 2}]}),
            (
                "order",
                json!({"order": "17", "total_cents": 4010, "currency": "GBP", "coupon": "SPRING",
                    "lines": [{"sku": "KET-1", "price_cents": 2000, "quantity": 2}]}),
                json!({"revenue": 33.2}),
            ),
        );
    }

    #[test]
    fn what_does_not_fit_stays_and_the_schema_says_what_is_missing() {
        let odd = json!({"sku": "", "product_id": {}, "price": "free", "quantity": -1});
        assert_eq!(told("product_added", &odd), ("basket_add", json!({}), odd));
        let odd = json!({"order_id": [], "products": ["KET-1"], "total": -1});
        assert_eq!(told("order_completed", &odd), ("order", json!({}), odd));
        let odd = json!({"products": [{"quantity": "many"}]});
        let started = json!({"step": 1, "name": "started"});
        assert_eq!(told("checkout_started", &odd), ("checkout_step", started.clone(), odd));
        for nothing in [Value::Null, json!([1]), json!("x")] {
            let told = told("checkout_started", &nothing);
            assert_eq!(told, ("checkout_step", started.clone(), nothing));
        }
    }

    #[test]
    fn amounts_are_whole_hundredths() {
        for (text, amount) in [
            ("18.99", Some(1899)),
            ("0.29", Some(29)),
            ("1e3", Some(100_000)),
            (" 7 ", Some(700)),
            ("0", Some(0)),
            ("-0.01", None),
            ("1e300", None),
            ("NaN", None),
            ("inf", None),
            ("1,99", None),
            ("", None),
        ] {
            assert_eq!(cents(text), amount, "{text}");
        }
        assert_eq!(["2", "2.0", "2.5", "-1", "x"].map(whole), [Some(2), Some(2), None, None, None]);
    }
}
