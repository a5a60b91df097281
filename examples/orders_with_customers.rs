//! Each order with the name of its customer, whichever of the two comes or changes first.
//! `cargo run -p clickmill-streams --example orders_with_customers -- --dev`
use clickmill_streams::app::{Failure, Flow, Through};
use clickmill_streams::join::{Joining, Names};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    customer: String,
    cents: u64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Customer {
    name: String,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    cents: u64,
}

struct WithCustomers;

impl Joining for WithCustomers {
    type Left = Order;
    type Right = Customer;

    fn foreign_key(&self, order: &Order) -> Option<String> {
        Some(order.customer.clone())
    }
    fn join(&self, order: &Order, customer: Option<&Customer>) -> Option<Vec<u8>> {
        serde_json::to_vec(&Named { name: &customer?.name, cents: order.cents }).ok()
    }
}

fn main() -> Result<(), Failure> {
    let between = |topic, holds, partitions, schema| {
        let owner = "shop";
        Through { topic, partitions, owner, holds, schema }
    };
    let names = Names {
        left: ("orders.kept", "shop.orders"),
        right: ("customers.kept", "shop.customers"),
        subscriptions: between("shop.orders.wishes.open.v1", "customer", 2, "subject:wishes"),
        answers: between("shop.orders.answers.pii.v1", "order", 3, "subject:answers"),
        joined: "shop.orders.named",
    };
    Flow::default().join(&names, WithCustomers).run()
}
