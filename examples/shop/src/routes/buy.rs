//! Buying: basket, checkout, order, thanks.

use crate::answer::{Answer, Content};
use crate::ask::Ask;
use crate::basket::Line;
use crate::customers;
use crate::orders::{self, Address, Order, OrderLine};
use crate::pages;
use crate::routes::view;
use crate::sessions::{Notice, Session, SessionId};
use crate::shop::{Memory, Shop};

pub(super) fn basket(shop: &Shop, memory: &mut Memory, ask: &Ask) -> Answer {
    Content::Page(pages::basket::page(&view(shop, memory, ask))).into()
}

pub(super) fn add(shop: &Shop, memory: &mut Memory, ask: &Ask) -> Answer {
    let sku = ask.form.get("sku");
    let Some(product) = shop.catalogue.product(sku) else {
        return super::visit::missing(shop, memory, ask);
    };
    let available = memory.stock.available(sku);
    let quantity = ask.form.get("quantity").parse().unwrap_or(1);
    let wanted = Line { sku: sku.to_owned(), quantity };
    let (session, begun) = session(memory, ask);
    session.notice = Some(match session.basket.add(&wanted, available) {
        Ok(quantity) => Notice::Added { sku: wanted.sku, quantity },
        Err(refused) => Notice::Problem(format!("{}: {refused}.", product.name)),
    });
    Answer::see("/basket").with_session(begun)
}

pub(super) fn remove(memory: &mut Memory, ask: &Ask) -> Answer {
    let sku = ask.form.get("sku");
    let quantity = ask.form.get("quantity").parse().ok();
    if let Some(session) = memory.sessions.find(ask.session, ask.now_ms) {
        let removed = session.basket.remove(sku, quantity);
        session.notice =
            (removed > 0).then(|| Notice::Removed { sku: sku.to_owned(), quantity: removed });
    }
    Answer::see("/basket")
}

pub(super) fn checkout(shop: &Shop, memory: &mut Memory, ask: &Ask) -> Answer {
    let view = view(shop, memory, ask);
    if view.session.basket.is_empty() {
        return Answer::see("/basket");
    }
    let email = view.session.email.clone().unwrap_or_default();
    let address = Address { email, ..Address::default() };
    Content::Page(pages::checkout::page(&view, &address, &[])).into()
}

pub(super) fn order(shop: &Shop, memory: &mut Memory, ask: &Ask) -> Answer {
    let address = address(ask);
    let faults = address.faults();
    let Some(session) = memory.sessions.find(ask.session, ask.now_ms) else {
        return Answer::see("/basket");
    };
    if session.basket.is_empty() {
        return Answer::see("/basket");
    }
    if !faults.is_empty() {
        let view = view(shop, memory, ask);
        return Content::Unfit(pages::checkout::page(&view, &address, &faults)).into();
    }
    let wanted = session.basket.lines().iter().map(|line| (line.sku.as_str(), line.quantity));
    let levels = match memory.stock.take(wanted) {
        Ok(levels) => levels,
        Err(short) => {
            session.basket.remove(&short.sku, None);
            let left = Line { sku: short.sku.clone(), quantity: short.available };
            if short.available > 0 {
                // It fits: there was more of it in the basket a moment ago.
                let _ = session.basket.add(&left, short.available);
            }
            session.notice = Some(Notice::Problem(sold_meanwhile(shop, &left)));
            return Answer::see("/basket");
        }
    };
    let (Some(id), number) = (ask.session, orders::number(ask.random)) else {
        return Answer::see("/basket");
    };
    let order = Order {
        number: number.clone(),
        session: id,
        customer: session.email.clone(),
        at_ms: ask.now_ms,
        address,
        lines: session.basket.items(&shop.catalogue).map(order_line).collect(),
        sum: session.basket.sum(&shop.catalogue),
    };
    session.basket.clear();
    session.notice = Some(Notice::Ordered);
    let email = session.email.clone();
    memory.orders.place(order);
    let known = email.and_then(|email| customers::known(&email, &memory.orders).ok());
    Answer::see(format!("/thanks/{number}")).with_levels(levels).with_customer(known)
}

pub(super) fn thanks(shop: &Shop, memory: &mut Memory, ask: &Ask, number: &str) -> Answer {
    let Some(order) = memory.orders.find(number, ask.session).cloned() else {
        return super::visit::missing(shop, memory, ask);
    };
    Content::Page(pages::thanks::page(&view(shop, memory, ask), &order)).into()
}

/// The visitor's session; its id as well if it begins with this request.
fn session<'a>(memory: &'a mut Memory, ask: &Ask) -> (&'a mut Session, Option<SessionId>) {
    let known = memory.sessions.find(ask.session, ask.now_ms).is_some();
    match ask.session.filter(|_| known) {
        Some(id) => (memory.sessions.resume(id, ask.now_ms), None),
        None => {
            let id = SessionId::new(ask.random);
            (memory.sessions.begin(id, Session::default(), ask.now_ms), Some(id))
        }
    }
}

fn address(ask: &Ask) -> Address {
    let field = |name| ask.form.get(name).to_owned();
    Address {
        name: field("name"),
        email: field("email"),
        street: field("street"),
        town: field("town"),
        postcode: field("postcode"),
    }
}

fn order_line((product, quantity): (&crate::catalogue::Product, u32)) -> OrderLine {
    OrderLine {
        sku: product.sku.clone(),
        name: product.name.clone(),
        quantity,
        price_cents: product.price_cents,
    }
}

fn sold_meanwhile(shop: &Shop, left: &Line) -> String {
    let name = shop.catalogue.product(&left.sku).map_or(left.sku.as_str(), |p| p.name.as_str());
    match left.quantity {
        0 => format!("{name} sold out while you were shopping, so it is out of your basket."),
        left => format!("Only {left} of {name} left: we changed your basket."),
    }
}
