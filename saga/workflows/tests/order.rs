//! The order saga is what its page says, and the largest legal order fits it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed; its helpers are part of it"
)]

use std::{fs, path::PathBuf};

use jetsaga_contracts::{
    limits,
    money::{Currency, Money},
    order_saga::{
        Allocated, AllocatedLine, Charged, Customer, Notified, OrderInput, OrderLine, OrderPriced,
        PaymentMethod, PricedLine,
    },
};
use saga_core::Plan;
use saga_workflows::{hurried, order, page};
use serde::Serialize;

fn golden(path: &str, made: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, made).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(kept, made, "{path} is not what the definition says; UPDATE=1 rewrites it");
}

#[test]
fn the_page_is_made_from_the_definition() {
    let plan = Plan::new(order()).unwrap();
    let told: Vec<_> = saga_workflows::order::TOLD.iter().map(|told| told.step).collect();
    let steps: Vec<_> = plan.steps().iter().map(|step| step.name.as_str()).collect();
    assert_eq!(told, steps, "every step is told, in its order");
    golden("docs/sagas/order.md", &page::markdown(&plan, saga_workflows::order::TOLD));
}

#[test]
fn every_saga_of_the_shop_is_valid_also_in_a_hurry() {
    for definition in saga_workflows::all() {
        let steps = definition.steps.len();
        Plan::new(definition.clone()).unwrap();
        for factor in [0, 1, 10, 100, u64::MAX] {
            let plan = Plan::new(hurried(definition.clone(), factor)).unwrap();
            assert_eq!(plan.steps().len(), steps);
        }
        assert_eq!(hurried(definition.clone(), 1), definition);
    }
}

#[test]
fn the_largest_legal_order_fits() {
    let sku = |n: usize| format!("{n:x<width$}", width = limits::MAX_SKU);
    let most = Money::new(limits::MAX_AMOUNT, Currency::EUR).unwrap();
    let lines = || 0..limits::MAX_LINES;
    let input = OrderInput {
        customer: Customer {
            name: "\u{10348}".repeat(limits::MAX_CUSTOMER_NAME),
            email: format!("{}@example.com", "a".repeat(limits::MAX_EMAIL - 12)),
        },
        lines: lines().map(|n| OrderLine { sku: sku(n), quantity: limits::MAX_QUANTITY }).collect(),
        currency: "EUR".to_owned(),
        payment: PaymentMethod { token: format!("pm_{}", "a".repeat(limits::MAX_TOKEN - 3)) },
    };
    assert_eq!(input.violations(), []);
    let priced = |n| PricedLine {
        sku: sku(n),
        name: "\u{10348}".repeat(limits::MAX_PRODUCT_NAME),
        quantity: limits::MAX_QUANTITY,
        unit_price: most,
        total: most,
    };
    let allocated = |n| AllocatedLine { sku: sku(n), quantity: limits::MAX_QUANTITY };

    let definition = order();
    fits("input", definition.input_max, &input);
    let at = |step: &str| definition.steps.iter().find(|it| it.name == step).unwrap().output_max;
    fits("order", at("order"), &OrderPriced { lines: lines().map(priced).collect(), total: most });
    fits("payment", at("payment"), &Charged { provider_ref: "x".repeat(200), amount: most });
    fits("inventory", at("inventory"), &Allocated { lines: lines().map(allocated).collect() });
    fits("notification", at("notification"), &Notified { message_id: "x".repeat(500) });
}

fn fits(what: &str, limit: u32, value: &impl Serialize) {
    saga_core::limits::check(&serde_json::to_value(value).unwrap(), limit)
        .unwrap_or_else(|found| panic!("{what}: {found}"));
}
