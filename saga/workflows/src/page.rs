//! The page of a saga under `docs/sagas/`, made from its definition.

use std::fmt::Write as _;

use saga_core::{Kind, Plan, mermaid};

/// What a definition cannot say of a step: its purpose, in words.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// The step.
    pub step: &'static str,
    /// What it does.
    pub does: &'static str,
    /// What its undo does.
    pub undoes: &'static str,
    /// With which codes it refuses.
    pub refuses: &'static str,
    /// Why its time-out is what it is.
    pub late: &'static str,
}

/// The page, as Markdown.
pub fn markdown(plan: &Plan, told: &[Told]) -> String {
    let definition = plan.definition();
    let mut page = format!(
        "<!-- Made from the definition by `UPDATE=1 cargo test -p saga-workflows`; do not edit. -->\n\
         # The saga `{}`, version {}\n\n\
         ```mermaid\n{}```\n\n\
         Until the first step that cannot fail is ready, the saga can be cancelled, and is rolled \
         back when it is not that far after {}. A rollback undoes the steps that are done, or may \
         be, in the reverse order.\n\n\
         | step | service | kind | does | undo | refuses with |\n\
         | --- | --- | --- | --- | --- | --- |\n",
        plan.name(),
        plan.version(),
        mermaid(plan),
        seconds(definition.deadline_ms),
    );
    for step in plan.steps() {
        let words = told.iter().find(|told| told.step == step.name);
        let (does, undoes, refuses) =
            words.map_or(("", "", ""), |told| (told.does, told.undoes, told.refuses));
        let kind = kind(step.kind);
        line(
            &mut page,
            format_args!(
                "| `{}` | {} | {kind} | {does} | {undoes} | {refuses} |",
                step.name, step.service
            ),
        );
    }
    page.push_str(
        "\n| step | time-out | because | pauses between attempts | largest output |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for step in plan.steps() {
        let late = told.iter().find(|told| told.step == step.name).map_or("", |told| told.late);
        line(
            &mut page,
            format_args!(
                "| `{}` | {} | {late} | {} to {} | {} bytes |",
                step.name,
                step.timeout_ms.map_or("none".to_owned(), seconds),
                seconds(step.backoff.first_ms),
                seconds(step.backoff.max_ms),
                step.output_max,
            ),
        );
    }
    line(
        &mut page,
        format_args!(
            "\nThe input has at most {} bytes. Digest of this definition: `{}`.",
            definition.input_max,
            plan.digest()
        ),
    );
    page
}

fn line(page: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    writeln!(page, "{arguments}").unwrap_or_default();
}

fn seconds(milliseconds: u64) -> String {
    match (milliseconds / 1000, milliseconds % 1000) {
        (whole, 0) => format!("{whole} s"),
        (0, rest) => format!("{rest} ms"),
        (whole, rest) => format!("{whole}.{rest:03} s"),
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Compensable => "compensable",
        Kind::Pivot => "pivot",
        Kind::Retriable => "retriable",
        Kind::Timer => "timer",
        Kind::Signal => "signal",
    }
}
