use std::collections::BTreeMap;

use saga_engine::audit::{FoundKind, ServiceReport};

use super::*;

fn report(findings: Vec<Found>) -> Report {
    let service = |rows, behind| ServiceReport { rows, behind };
    let services = [("inventory", service(40, 0)), ("order", service(80, 3))];
    let services = services.map(|(name, it)| (name.to_owned(), it));
    Report {
        events: 200,
        sagas: 40,
        open: 2,
        stuck: vec!["order.ord-1".to_owned()],
        services: BTreeMap::from(services),
        findings,
    }
}

#[test]
fn a_clean_report_says_so() {
    let expected = "\
200 events of 40 sagas were folded again; 2 are open
  inventory  40 rows were compared
  order      80 rows were compared; 3 sagas have messages left for it
stuck, and waits for a person: order.ord-1
Everything agrees with the log.
";
    assert_eq!(Readable(&report(Vec::new())).to_string(), expected);
}

#[test]
fn each_finding_is_a_line() {
    let some = |text: &str| Some(text.to_owned());
    let row = Found {
        kind: FoundKind::Row,
        saga_type: some("order"),
        about: some("ord-2"),
        service: some("payment"),
        step: some("payment"),
        detail: "the log says done, and there is no row".to_owned(),
    };
    let silent = Found {
        kind: FoundKind::Unchecked,
        saga_type: None,
        about: None,
        service: some("order"),
        step: None,
        detail: "it does not answer".to_owned(),
    };
    let said = Readable(&report(vec![row, silent])).to_string();
    let expected = "\
2 findings:
  row, order, ord-2, step payment, service payment: the log says done, and there is no row
  unchecked, service order: it does not answer
";
    assert!(said.ends_with(expected), "{said}");
}
