//! The kind `metrics` with pages of metrics and a real Prometheus.

use std::time::Duration;

use runbook::domain::incident::outcome::Outcome;
use serde_json::{Value, json};

use crate::kind_harness::KindHarness;
use crate::real::eventually;
use crate::real::prometheus::{Page, prometheus_of};

const PAGE: &str = "\
# HELP payments_total Payments.
# TYPE payments_total counter
payments_total{outcome=\"ok\",method=\"card\"} 90
payments_total{outcome=\"error\",method=\"card\"} 6
payments_total{outcome=\"error\",method=\"mobile\"} 4
queue_length 0
broken NaN
latency_seconds_bucket{le=\"0.1\"} 50
latency_seconds_bucket{le=\"0.5\"} 90
latency_seconds_bucket{le=\"+Inf\"} 100
latency_seconds_sum 30
latency_seconds_count 100
";

fn harness(page: &Page) -> KindHarness {
    let health = page.url();
    KindHarness::new(json!({}), json!({ "payments": { "unit": "pakashop-payments", "health": health } }))
}

fn error_code(outcome: &Outcome) -> &Value {
    &outcome.output["trouble"]["kind"]
}

#[tokio::test]
async fn the_metrics_page_of_a_service_confirms_or_refutes_an_alert() {
    let page = Page::serve(PAGE);
    let harness = harness(&page);
    let mut spec = json!({
        "service": "payments", "select": "payments_total{outcome=\"error\"}", "per": "payments_total",
        "aggregate": "sum", "above": 0.05,
    });
    let confirmed = harness.perform("metrics", spec.clone()).await;
    assert!(confirmed.is_success(), "{confirmed:?}");
    assert_eq!(confirmed.output["value"], json!(0.1));
    assert_eq!(confirmed.summary, "sum of payments_total{outcome=\"error\"} per payments_total: 0.1");
    assert_eq!(confirmed.output["series"][1]["labels"]["method"], "mobile");
    spec["above"] = json!(0.5);
    let refuted = harness.perform("metrics", spec).await;
    assert_eq!(error_code(&refuted), "threshold");
    assert!(refuted.summary.ends_with(": 0.1, not above 0.5"), "{}", refuted.summary);
}

#[tokio::test]
async fn zero_empty_several_and_nan_have_different_codes() {
    let page = Page::serve(PAGE);
    let harness = harness(&page);
    let read =
        async |select: &str| harness.perform("metrics", json!({ "service": "payments", "select": select })).await;
    let zero = read("queue_length").await;
    assert_eq!((&zero.output["value"], &zero.output["found"]), (&json!(0.0), &json!("number")));
    let nothing = read("queue_lenght").await;
    assert_eq!((&nothing.output["value"], &nothing.output["found"]), (&Value::Null, &json!("empty")));
    assert_eq!(nothing.summary, "queue_lenght: no series; did you mean `queue_length`?");
    assert_eq!(read("payments_total").await.output["found"], "several");
    assert_eq!(read("broken").await.output["found"], "nan");
    for select in ["queue_lenght", "payments_total", "broken"] {
        let judged = harness.perform("metrics", json!({ "service": "payments", "select": select, "below": 1e9 })).await;
        assert!(!judged.is_success(), "{judged:?}");
    }
}

#[tokio::test]
async fn a_rate_and_a_quantile_cover_the_interval() {
    let page = Page::serve(PAGE);
    let harness = harness(&page);
    let grow = async {
        while page.asked() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        page.show(
            &PAGE
                .replace("\"mobile\"} 4", "\"mobile\"} 104")
                .replace("\"0.5\"} 90", "\"0.5\"} 190")
                .replace("+Inf\"} 100", "+Inf\"} 200"),
        );
    };
    let spec = json!({
        "service": "payments", "select": "payments_total{outcome=\"error\"}", "aggregate": "rate", "interval": "200ms",
        "above": 1,
    });
    let (outcome, ()) = tokio::join!(harness.perform("metrics", spec), grow);
    assert!(outcome.is_success(), "{outcome:?}");
    let rate = outcome.output["value"].as_f64().unwrap();
    assert!(rate > 10.0 && rate <= 500.0, "a hundred within a little more than 200 ms, not {rate} a second");

    let all = json!({ "service": "payments", "select": "latency_seconds", "quantile": 0.5, "below": 0.5 });
    assert!(harness.perform("metrics", all.clone()).await.is_success());
    let mut recent = all;
    recent["interval"] = json!("50ms");
    let recent = harness.perform("metrics", recent).await;
    assert_eq!(
        (error_code(&recent), &recent.output["found"]),
        (&json!("nan"), &json!("nan")),
        "no samples in the interval"
    );
}

#[tokio::test]
async fn an_invalid_metrics_page_is_an_error() {
    let page = Page::serve("<html><body>It works!</body></html>");
    let harness = harness(&page);
    let outcome = harness.perform("metrics", json!({ "scrape": page.url(), "select": "up" })).await;
    assert_eq!(error_code(&outcome), "format", "{outcome:?}");
    page.show(&"up{x=\"1\"} 1\n".repeat(200_000));
    assert_eq!(
        error_code(&harness.perform("metrics", json!({ "scrape": page.url(), "select": "up" })).await),
        "too_large"
    );
    let closed = json!({ "scrape": "http://127.0.0.1:1/metrics", "select": "up" });
    assert_eq!(error_code(&harness.perform("metrics", closed).await), "refused");
    let unknown = json!({ "service": "payment", "select": "up" });
    assert_eq!(error_code(&harness.perform("metrics", unknown).await), "no_such_service");
    assert_eq!(
        error_code(&harness.perform("metrics", json!({ "scrape": page.url(), "select": "up{" })).await),
        "selector"
    );
}

#[tokio::test]
async fn answers_of_prometheus_have_different_codes() {
    let page = Page::serve(PAGE);
    let prometheus = prometheus_of(&page);
    eventually("the page was scraped", || prometheus.get("/api/v1/query?query=queue_length").contains("\"value\""));
    let harness = harness(&page);
    let ask = async |query: &str, more: Value| {
        let mut spec = json!({ "prometheus": prometheus.url(), "query": query });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        harness.perform("metrics", spec).await
    };
    let share = "sum(payments_total{outcome=\"error\"}) / sum(payments_total)";
    let share = ask(share, json!({ "above": 0.05 })).await;
    assert!(share.is_success(), "{share:?}");
    assert_eq!((&share.output["value"], &share.output["count"]), (&json!(0.1), &json!(1)));
    let several = ask("payments_total", json!({})).await;
    assert_eq!((&several.output["found"], &several.output["count"]), (&json!("several"), &json!(3)));
    assert_eq!(several.output["series"][0]["name"], "payments_total");
    assert_eq!(ask("payments_total", json!({ "aggregate": "sum" })).await.output["value"], json!(100.0));
    assert_eq!(ask("queue_length", json!({})).await.output["value"], json!(0.0));
    assert_eq!(ask("no_such_metric", json!({ "below": 1 })).await.output["trouble"]["kind"], "empty");
    assert_eq!(ask("scalar(queue_length) + 2", json!({})).await.output["value"], json!(2.0));
    assert_eq!(ask("queue_length / 0", json!({})).await.output["found"], "nan");
    assert_eq!(ask("1 / 0", json!({})).await.output["found"], "infinite");
    assert_eq!(error_code(&ask("payments_total[5m]", json!({})).await), "query");
    let wrong = ask("sum(", json!({})).await;
    assert_eq!(error_code(&wrong), "query");
    assert!(wrong.summary.contains("parse error"), "{}", wrong.summary);
    let page_instead = json!({ "prometheus": page.url(), "query": "up" });
    assert_eq!(error_code(&harness.perform("metrics", page_instead).await), "status");
}
