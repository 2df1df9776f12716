//! The order saga: order → payment → inventory → notification.

use jetsaga_contracts::order_saga::{TYPE, step};
use saga_core::{Definition, Step};

use crate::page::Told;

/// Asking the product service for prices takes milliseconds; a restart of it takes some seconds,
/// and the customer is not told "sorry" for that.
const ORDER_TIMEOUT_MS: u64 = 30_000;
/// Short at first, since most misses are blips; at most 2 s, so that a product service that is back
/// is noticed at once.
const ORDER_BACKOFF_MS: (u64, u64) = (100, 2_000);

/// A payment provider may need seconds for one answer (a call is given five), and an answer that
/// was lost is asked for again: a dozen rounds of that.
const PAYMENT_TIMEOUT_MS: u64 = 60_000;
/// A provider in trouble is not helped by haste.
const PAYMENT_BACKOFF_MS: (u64, u64) = (250, 5_000);

/// Allocation is one transaction in the service's own database: only a restart makes it late.
const INVENTORY_TIMEOUT_MS: u64 = 15_000;
/// Conflicts with other orders for the same SKU are retried inside the service; this is for a
/// database that is away.
const INVENTORY_BACKOFF_MS: (u64, u64) = (100, 2_000);

/// After this time an alarm is raised; the mail is still sent when the relay is back.
const NOTIFICATION_TIMEOUT_MS: u64 = 60_000;
/// Mail relays defer for minutes: fewer and fewer attempts.
const NOTIFICATION_BACKOFF_MS: (u64, u64) = (250, 15_000);

/// All time-outs up to the point of no return, and as much again for services that were away while
/// a step became ready. Later than that no customer still waits for an answer.
const DEADLINE_MS: u64 = 180_000;
const _: () = assert!(ORDER_TIMEOUT_MS + PAYMENT_TIMEOUT_MS + INVENTORY_TIMEOUT_MS < DEADLINE_MS);

/// A hundred lines with the longest SKUs, and a customer: 12 KiB.
const INPUT_MAX: u32 = 16 * 1024;
/// A hundred priced lines with the longest names, each character four bytes: 70 KiB.
const PRICED_MAX: u32 = 80 * 1024;
/// A hundred lines with the longest SKUs: 10 KiB.
const ALLOCATED_MAX: u32 = 16 * 1024;
/// One reference and an amount.
const SMALL_MAX: u32 = 2 * 1024;

/// The order saga.
pub fn order() -> Definition {
    let (price, charge, allocate, tell) =
        (ORDER_BACKOFF_MS, PAYMENT_BACKOFF_MS, INVENTORY_BACKOFF_MS, NOTIFICATION_BACKOFF_MS);
    Definition::new(TYPE, 1)
        .deadline_ms(DEADLINE_MS)
        .input_max(INPUT_MAX)
        .step(
            Step::compensable(step::ORDER, "order")
                .timeout_ms(ORDER_TIMEOUT_MS)
                .backoff(price.0, price.1)
                .output_max(PRICED_MAX),
        )
        .step(
            Step::compensable(step::PAYMENT, "payment")
                .timeout_ms(PAYMENT_TIMEOUT_MS)
                .backoff(charge.0, charge.1)
                .output_max(SMALL_MAX),
        )
        .step(
            Step::compensable(step::INVENTORY, "inventory")
                .timeout_ms(INVENTORY_TIMEOUT_MS)
                .backoff(allocate.0, allocate.1)
                .output_max(ALLOCATED_MAX),
        )
        .step(
            Step::retriable(step::NOTIFICATION, "notification")
                .timeout_ms(NOTIFICATION_TIMEOUT_MS)
                .backoff(tell.0, tell.1)
                .output_max(SMALL_MAX),
        )
}

/// The same definition with every time divided by `factor` (at least one millisecond each): for
/// suites that wait until a step or a saga is late.
#[must_use]
pub fn hurried(mut definition: Definition, factor: u64) -> Definition {
    let less = |milliseconds: u64| (milliseconds / factor.max(1)).max(1);
    definition.deadline_ms = less(definition.deadline_ms);
    for step in &mut definition.steps {
        step.timeout_ms = step.timeout_ms.map(less);
        step.delay_ms = step.delay_ms.map(less);
        step.backoff.first_ms = less(step.backoff.first_ms);
        step.backoff.max_ms = less(step.backoff.max_ms);
    }
    definition
}

/// What each step does and undoes, in words, for the saga's page.
pub const TOLD: &[Told] = &[
    Told {
        step: step::ORDER,
        does: "asks the product service for names and prices, writes the order as *pending*",
        undoes: "writes the order as *cancelled*, with the reason",
        refuses: "`unknown_sku`, `inactive_sku`, `currency_mismatch`, `amount_overflow`, \
                  `amount_too_small`, `invalid_order`",
        late: "outlasts a restart of the product service",
    },
    Told {
        step: step::PAYMENT,
        does: "charges the order's total through the payment provider",
        undoes: "refunds what was charged; cancels what may still arrive",
        refuses: "`card_declined`, `payment_invalid`",
        late: "a dozen calls of five seconds, asking again for an answer that was lost",
    },
    Told {
        step: step::INVENTORY,
        does: "allocates every line, or none",
        undoes: "releases what was allocated",
        refuses: "`out_of_stock`",
        late: "one transaction in its own database: only a restart makes it late",
    },
    Told {
        step: step::NOTIFICATION,
        does: "sends the confirmation mail",
        undoes: "–",
        refuses: "never: retried until it works",
        late: "only an alarm; the mail is still sent",
    },
];
