//! The start screen.

use service_kit::host::telemetry::LogForm;
use service_kit::host::{HostOptions, Hosted};

/// Shows where everything is, and a first order to copy.
pub fn print(hosted: &Hosted, options: &HostOptions) {
    if options.log == LogForm::Json {
        tracing::info!(urls = ?hosted.urls.all(), nats = hosted.nats_url, "the shop runs");
        return;
    }
    show(&screen(hosted, options));
}

#[expect(clippy::print_stdout, reason = "the start screen is for whoever started the shop")]
fn show(text: &str) {
    println!("{text}");
}

fn screen(hosted: &Hosted, options: &HostOptions) -> String {
    let Some(gateway) = hosted.urls.get("gateway").filter(|_| hosted.hosts("gateway")) else {
        return format!("Jetsaga runs a part of the shop.\n\n  NATS       {}", hosted.nats_url);
    };
    let simulator = hosted.urls.get("payment-provider");
    let simulator =
        simulator.map_or(String::new(), |url| format!("\n  Payments   {url} (simulator)"));
    format!(
        r#"
Jetsaga runs. Stop it with Ctrl-C; what is open goes on at the next start.

  API        {gateway}
  Document   {gateway}/docs
  Health     {gateway}/health/ready
  NATS       {nats}{simulator}
  Data       {data}

Place an order and wait for its end:

  curl -i {gateway}/v1/orders -H 'Content-Type: application/json' -H 'Prefer: wait=10' \
    -d '{{"customer":{{"name":"Ada","email":"ada@example.com"}},"lines":[{{"sku":"tea-assam","quantity":2}}],"currency":"EUR","payment":{{"token":"pm_card_visa"}}}}'

The token pm_card_visa_charge_declined fails it; {gateway}/docs lists more.
"#,
        nats = hosted.nats_url,
        data = options.data_dir.display(),
    )
}
