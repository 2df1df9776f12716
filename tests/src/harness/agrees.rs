//! After the end: ledger, provider, stock, order, mails and record say the same.

use saga_core::{Status, StepState, verify, verify_start};
use saga_engine::{Stored, audit};
use serde_json::Value;

use super::{Front, eventually};

/// How an order must have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Confirmed; everything happened once.
    Confirmed,
    /// Rolled back with this code; nothing remains.
    Cancelled(&'static str),
}

impl Front {
    /// Waits for the end of an order and checks that everybody agrees on it. The numbers of the
    /// provider and of the stock are those of all orders of this shop, `expected` among them.
    pub async fn agrees(&self, id: &str, ending: Ending) {
        let status = match ending {
            Ending::Confirmed => "completed",
            Ending::Cancelled(_) => "rolled_back",
        };
        let record = self.until(id, status).await;
        if let Ending::Cancelled(code) = ending {
            assert_eq!(record["cause"]["code"], code, "{record}");
        }
        self.history_is_a_fold(id).await;
        self.order_agrees(id, ending).await;
        self.ledger_agrees(id, ending).await;
        self.mails_agree(id, ending).await;
    }

    /// Waits for the end of an order, whichever it is, and checks that everybody agrees on it.
    pub async fn agrees_with_its_record(&self, id: &str) {
        let record = eventually(&format!("the end of {id}"), async || {
            let record = self.record(id).await;
            let has_ended = record["status"] == "completed" || record["status"] == "rolled_back";
            if has_ended { Ok(record) } else { Err(record.to_string()) }
        })
        .await;
        let codes = ["out_of_stock", "card_declined", "cancelled", "timeout", "expired"];
        let ending = match codes.into_iter().find(|code| record["cause"]["code"] == *code) {
            Some(code) => Ending::Cancelled(code),
            None => Ending::Confirmed,
        };
        self.agrees(id, ending).await;
    }

    /// Every saga that the shop knows, open or ended.
    pub async fn all(&self) -> Vec<String> {
        let (mut found, mut path) = (Vec::new(), "/v1/sagas?limit=100".to_owned());
        loop {
            let page = self.get(&path).await.body;
            let data = page["data"].as_array().cloned().unwrap_or_default();
            found.extend(data.iter().filter_map(|it| it["id"].as_str().map(str::to_owned)));
            let Some(cursor) = page["next_cursor"].as_str() else { return found };
            let escaped: Vec<String> = cursor.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let cursor = escaped.concat();
            path = format!("/v1/sagas?limit=100&cursor={cursor}");
        }
    }

    /// Checks stock and provider against all orders of this shop: those that completed hold their
    /// pieces and their money, the others nothing.
    pub async fn sums_agree(&self, ids: &[&str]) {
        let mut money = 0;
        let mut pieces = std::collections::BTreeMap::<String, i64>::new();
        for id in ids {
            let record = self.record(id).await;
            let is_confirmed = record["status"] == "completed";
            for line in record["input"]["lines"].as_array().into_iter().flatten() {
                let sku = line["sku"].as_str().unwrap_or_default().to_owned();
                let quantity = line["quantity"].as_i64().unwrap_or_default();
                let was_run = record["steps"]["inventory"]["state"] == "done";
                *pieces.entry(sku).or_default() +=
                    if is_confirmed && was_run { quantity } else { 0 };
            }
            let was_charged = record["steps"]["payment"]["state"] == "done";
            if is_confirmed && was_charged {
                let amount = &record["steps"]["payment"]["output"]["amount"]["amount"];
                money += amount.as_i64().unwrap_or_default();
            }
        }
        eventually("the provider agrees", async || {
            let provider = self.provider().await;
            let balance = provider["balance"]["EUR"].as_i64().unwrap_or(0);
            if balance == money { Ok(()) } else { Err(format!("{money} expected: {provider}")) }
        })
        .await;
        for (sku, quantity) in pieces {
            let stock = self.get(&format!("/v1/stock/{sku}")).await;
            if stock.status == 200 {
                assert_eq!(stock.body["allocated"], quantity, "{sku}");
            }
        }
    }

    /// [`Front::sums_agree`], and an audit of everything finds nothing.
    pub async fn all_agree(&self, ids: &[&str]) {
        self.sums_agree(ids).await;
        self.audit_is_clean().await;
    }

    /// The audit that operators run finds nothing: every record, every row, every effect.
    async fn audit_is_clean(&self) {
        let plans = self.engine().registered().await.expect("definitions are registered");
        eventually("the audit is clean", async || {
            let report = audit::world(self.engine(), &plans).await;
            let report = report.map_err(|error| error.to_string())?;
            let is_behind = report.services.values().any(|service| service.behind > 0);
            if report.findings.is_empty() && !is_behind {
                Ok(())
            } else {
                Err(format!("{report:?}"))
            }
        })
        .await;
    }

    /// Every record is what its event makes of the one before.
    async fn history_is_a_fold(&self, id: &str) {
        let plan = self.engine().plan("order", 1).await.expect("the definition is registered");
        let log = self.engine().log();
        let history: Vec<Stored> = log.history(&plan, id, 0).await.expect("a history");
        verify_start(&plan, &history[0].record).expect("the first record is right");
        for pair in history.windows(2) {
            let (before, after) = (&pair[0], &pair[1]);
            verify(&plan, before.record.clone(), before.sequence, &after.record)
                .unwrap_or_else(|lie| panic!("{lie}: {:?}", after.record));
        }
        let last = &history[history.len() - 1].record;
        if last.status == Status::RolledBack {
            let is_left = |state: StepState| matches!(state, StepState::Done | StepState::Timedout);
            let left = last.steps.iter().find(|(_, step)| is_left(step.state));
            assert_eq!(left.map(|(name, _)| name), None);
        }
    }

    async fn order_agrees(&self, id: &str, ending: Ending) {
        let wanted = match ending {
            Ending::Confirmed => "confirmed",
            Ending::Cancelled(_) => "cancelled",
        };
        let order = self.get(&format!("/v1/orders/{id}")).await.body;
        assert_eq!(order["status"], wanted, "{order}");
        // The order service follows the ending; its own row is what lists are made of.
        let url = format!("{}/v1/orders/{id}", self.service("order"));
        eventually("the order service agrees", async || {
            let row = self.json(&url).await;
            let is_right = row["status"] == wanted
                && match ending {
                    Ending::Confirmed => row["total"] == order["total"],
                    Ending::Cancelled(code) => row["reason"]["code"] == code,
                };
            if is_right { Ok(()) } else { Err(row.to_string()) }
        })
        .await;
    }

    async fn ledger_agrees(&self, id: &str, ending: Ending) {
        let payments = self.get(&format!("/v1/payments?order={id}")).await.body;
        let entries: Vec<Value> = payments["data"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|payment| payment["ledger"].as_array().cloned().unwrap_or_default())
            .collect();
        let sum = |account: Option<&str>| -> i64 {
            let of = |entry: &&Value| account.is_none_or(|account| entry["account"] == account);
            entries.iter().filter(of).filter_map(|it| it["amount"]["amount"].as_i64()).sum()
        };
        assert_eq!(sum(None), 0, "{payments}");
        let record = self.record(id).await;
        let is_charged =
            ending == Ending::Confirmed && record["steps"]["payment"]["state"] == "done";
        let total = &record["steps"]["order"]["output"]["total"]["amount"];
        let wanted = if is_charged { total.as_i64().unwrap_or_default() } else { 0 };
        assert_eq!(sum(Some("provider")), wanted, "{payments}");
    }

    async fn mails_agree(&self, id: &str, ending: Ending) {
        let wanted = match ending {
            Ending::Confirmed => "order_confirmed",
            Ending::Cancelled(_) => "order_cancelled",
        };
        let path = format!("/v1/notifications?order={id}");
        eventually("the mails agree", async || {
            let mails = self.get(&path).await.body;
            let all = mails["data"].as_array().cloned().unwrap_or_default();
            match all.as_slice() {
                [mail] if mail["event"] == wanted && mail["status"] == "sent" => Ok(()),
                _ => Err(mails.to_string()),
            }
        })
        .await;
    }

    async fn json(&self, url: &str) -> Value {
        let answer = self.http.get(url).send().await.expect("the service answers");
        answer.json().await.unwrap_or(Value::Null)
    }
}
