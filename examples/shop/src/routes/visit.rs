//! Looking around: home, departments, products, search, login.

use clickmill_sdk_core::wire::VisitorId;

use crate::answer::{Answer, Content};
use crate::ask::Ask;
use crate::customers;
use crate::orders::is_email;
use crate::pages;
use crate::routes::{local, view};
use crate::sessions::{Notice, SessionId};
use crate::shop::{Memory, Shop};

pub(super) fn home(shop: &Shop, memory: &mut Memory, ask: &Ask) -> Answer {
    Content::Page(pages::home::page(&view(shop, memory, ask))).into()
}

pub(super) fn category(shop: &Shop, memory: &mut Memory, ask: &Ask, slug: &str) -> Answer {
    let view = view(shop, memory, ask);
    match shop.catalogue.category(slug) {
        Some(category) => Content::Page(pages::category::page(&view, category)).into(),
        None => Content::Missing(pages::missing::page(&view)).into(),
    }
}

pub(super) fn product(shop: &Shop, memory: &mut Memory, ask: &Ask, sku: &str) -> Answer {
    let view = view(shop, memory, ask);
    match shop.catalogue.product(sku) {
        Some(product) => Content::Page(pages::product::page(&view, product)).into(),
        None => Content::Missing(pages::missing::page(&view)).into(),
    }
}

pub(super) fn search(shop: &Shop, memory: &mut Memory, ask: &Ask) -> Answer {
    Content::Page(pages::search::page(&view(shop, memory, ask))).into()
}

pub(super) fn login_form(shop: &Shop, memory: &mut Memory, ask: &Ask) -> Answer {
    let form = pages::login::Form { email: "", fault: None };
    Content::Page(pages::login::page(&view(shop, memory, ask), &form)).into()
}

pub(super) fn login(shop: &Shop, memory: &mut Memory, ask: &Ask) -> Answer {
    let email = ask.form.get("email");
    if !is_email(email) {
        let fault = Some("Enter an e-mail address, such as ada@example.com.");
        let form = pages::login::Form { email, fault };
        return Content::Unfit(pages::login::page(&view(shop, memory, ask), &form)).into();
    }
    let next = local(ask.form.get("next"));
    let email = email.to_lowercase();
    let known = customers::known(&email, &memory.orders).ok();
    move_session(memory, ask, Some(email), next).with_customer(known)
}

/// The proof that whoever is signed in here is the visitor that the page names, for the SDK.
pub(super) fn proof(shop: &Shop, memory: &mut Memory, ask: &Ask) -> Answer {
    let session = memory.sessions.find(ask.session, ask.now_ms);
    let customer = session.and_then(|session| customers::number(session.email.as_deref()?).ok());
    let visitor = VisitorId::parse(ask.form.get("visitor")).ok();
    let key = shop.tracking.as_ref().and_then(|tracking| tracking.proofs.as_ref());
    let signed = match (key, customer, visitor) {
        (Some(key), Some(customer), Some(visitor)) => key.sign(&customer, &visitor, ask.now_ms),
        _ => None,
    };
    signed.map_or_else(|| missing(shop, memory, ask), |proof| Content::Text(proof).into())
}

pub(super) fn logout(memory: &mut Memory, ask: &Ask) -> Answer {
    move_session(memory, ask, None, "/")
}

/// Goes on under a fresh id, so that an id which somebody planted or saw before is worth nothing.
fn move_session(memory: &mut Memory, ask: &Ask, email: Option<String>, next: &str) -> Answer {
    let mut session = memory.sessions.end(ask.session, ask.now_ms).unwrap_or_default();
    session.notice = email.is_some().then_some(Notice::SignedIn);
    session.email = email;
    let fresh = SessionId::new(ask.random);
    memory.sessions.begin(fresh, session, ask.now_ms);
    Answer::see(next).with_session(fresh)
}

pub(super) fn missing(shop: &Shop, memory: &mut Memory, ask: &Ask) -> Answer {
    Content::Missing(pages::missing::page(&view(shop, memory, ask))).into()
}
