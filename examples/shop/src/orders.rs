//! Orders: the form somebody fills in, and what was bought.

use std::collections::VecDeque;

use crate::basket::Sum;
use crate::sessions::SessionId;

/// The most orders that are kept; beyond it the oldest go.
pub const ORDERS_MAX: usize = 10_000;

/// The most characters of one field.
pub const FIELD_CHARS_MAX: usize = 120;

/// One order.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its number, as on the address of the thanks page.
    pub number: String,
    /// The session that placed it: nobody else may see it.
    pub session: SessionId,
    /// Who was signed in; none for a guest.
    pub customer: Option<String>,
    /// When it was placed, in milliseconds since 1970.
    pub at_ms: u64,
    /// Where it goes.
    pub address: Address,
    /// Product number, name, pieces, price of one in hundredths of the currency.
    pub lines: Vec<OrderLine>,
    /// What it came to.
    pub sum: Sum,
}

/// One product of an order, as it was when it was bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderLine {
    /// The product.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// How many.
    pub quantity: u32,
    /// The price of one in hundredths of the currency.
    pub price_cents: u64,
}

/// A field of the checkout form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Who gets it.
    Name,
    /// Where news of it go.
    Email,
    /// Street and house.
    Street,
    /// Town.
    Town,
    /// Postcode.
    Postcode,
}

/// The checkout form as it was filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// Who gets it.
    pub name: String,
    /// Where news of it go.
    pub email: String,
    /// Street and house.
    pub street: String,
    /// Town.
    pub town: String,
    /// Postcode.
    pub postcode: String,
}

/// All orders, the newest last.
#[derive(Debug, Default)]
pub struct Orders {
    all: VecDeque<Order>,
}

impl Field {
    /// All of them, in the order of the form.
    pub const ALL: [Self; 5] = [Self::Name, Self::Email, Self::Street, Self::Town, Self::Postcode];

    /// Its name in the form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Email => "email",
            Self::Street => "street",
            Self::Town => "town",
            Self::Postcode => "postcode",
        }
    }
}

impl Address {
    /// What was filled in for a field.
    pub fn field(&self, field: Field) -> &str {
        match field {
            Field::Name => &self.name,
            Field::Email => &self.email,
            Field::Street => &self.street,
            Field::Town => &self.town,
            Field::Postcode => &self.postcode,
        }
    }

    /// What is wrong with it, field by field; empty when nothing is.
    pub fn faults(&self) -> Vec<(Field, &'static str)> {
        Field::ALL
            .into_iter()
            .filter_map(|field| Some((field, fault(field, self.field(field))?)))
            .collect()
    }
}

/// Whether a text could be an e-mail address: no more than its outer form can be told.
pub fn is_email(text: &str) -> bool {
    let plain = text.chars().count() <= FIELD_CHARS_MAX
        && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    plain
        && text
            .split_once('@')
            .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
}

impl Orders {
    /// Keeps an order.
    pub fn place(&mut self, order: Order) {
        if self.all.len() >= ORDERS_MAX {
            self.all.pop_front();
        }
        self.all.push_back(order);
    }

    /// What a customer ordered while signed in with this address, the newest first.
    pub fn of(&self, email: &str) -> impl Iterator<Item = &Order> {
        self.all.iter().rev().filter(move |order| order.customer.as_deref() == Some(email))
    }

    /// The order of that number, for the session that placed it.
    pub fn find(&self, number: &str, session: Option<SessionId>) -> Option<&Order> {
        let order = self.all.iter().rev().find(|order| order.number == number)?;
        (Some(order.session) == session).then_some(order)
    }
}

/// An order's number from random bits: seven letters and digits that are hard to mistake.
pub fn number(random: u128) -> String {
    const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
    let letters = (0..7).map(|place| {
        let five_bits = (random >> (place * 5)) & 31;
        // Five bits are below 32.
        char::from(ALPHABET[usize::try_from(five_bits).unwrap_or(0)])
    });
    std::iter::once_with(|| "HW-".chars()).flatten().chain(letters).collect()
}

fn fault(field: Field, text: &str) -> Option<&'static str> {
    if text.chars().count() > FIELD_CHARS_MAX {
        return Some("Shorten this to 120 characters.");
    }
    match field {
        Field::Name if text.is_empty() => Some("Enter the name on the doorbell."),
        Field::Email if !is_email(text) => {
            Some("Enter an e-mail address, such as ada@example.com.")
        }
        Field::Street if text.is_empty() => Some("Enter a street and a house number."),
        Field::Town if text.is_empty() => Some("Enter a town."),
        Field::Postcode if text.is_empty() => Some("Enter a postcode."),
        Field::Name | Field::Email | Field::Street | Field::Town | Field::Postcode => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Address {
        Address {
            name: "Ada".into(),
            email: "ada@example.com".into(),
            street: "1 Mill Lane".into(),
            town: "Ely".into(),
            postcode: "CB7 4AA".into(),
        }
    }

    fn order(number: &str) -> Order {
        Order {
            number: number.into(),
            session: SessionId::new(1),
            customer: None,
            at_ms: 0,
            address: address(),
            lines: Vec::new(),
            sum: Sum::default(),
        }
    }

    #[test]
    fn every_field_is_asked_for() {
        assert_eq!(address().faults(), []);
        let empty: Vec<Field> = Address::default().faults().iter().map(|(f, _)| *f).collect();
        assert_eq!(empty, Field::ALL);
        let long = Address { town: "x".repeat(FIELD_CHARS_MAX + 1), ..address() };
        assert_eq!(long.faults().len(), 1);
    }

    #[test]
    fn an_email_has_two_parts() {
        for good in ["a@b", "ada.l+shop@example.co.uk"] {
            assert!(is_email(good), "{good}");
        }
        for bad in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a@b\n"] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn an_order_is_shown_to_its_own_session_only() {
        let mut orders = Orders::default();
        orders.place(order("HW-1"));
        assert!(orders.find("HW-1", Some(SessionId::new(1))).is_some());
        assert!(orders.find("HW-1", Some(SessionId::new(2))).is_none());
        assert!(orders.find("HW-1", None).is_none());
    }

    #[test]
    fn the_number_of_orders_is_bounded() {
        let mut orders = Orders::default();
        for n in 0..=ORDERS_MAX {
            orders.place(order(&format!("HW-{n}")));
        }
        assert_eq!(orders.all.len(), ORDERS_MAX);
        assert!(orders.find("HW-0", Some(SessionId::new(1))).is_none());
    }

    #[test]
    fn numbers_are_short_and_plain() {
        assert_eq!(number(0), "HW-2222222");
        assert_eq!(number(u128::MAX), "HW-ZZZZZZZ");
    }
}
