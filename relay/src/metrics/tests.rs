//! Every metric of the table is shown.

use super::*;

#[test]
fn the_table_keeps_the_rules_and_shows_every_metric() {
    let metrics = Metrics::new(TABLE).unwrap();
    let _ = view_meters(&metrics);
    let (react, hub) = (ReactMeters::new(&metrics), HubMeters::new(&metrics));
    react.decided(12, Duration::from_micros(30));
    react.poisoned("clicks", "malformed");
    let slot = Slot::parse("suggested").unwrap();
    hub.hint(HintKind::Suggest, Some(&slot));
    for ms in 1..=100 {
        hub.heard(HintKind::Suggest, ms);
    }
    hub.seen(HintKind::Suggest, 30);
    hub.show_quantiles();
    RefusedMeters::new(&metrics).count(Refused::TokenMissing);
    AskMeters::new(&metrics).here.increment(1);
    AskMeters::of_pages(&metrics).here.increment(1);
    FeedMeters::new(&metrics).told.increment(1);
    let promotions = PromotionMeters::new(&metrics);
    promotions.verdict(&RuleName::parse("r").unwrap(), Outcome::Shown);
    promotions.rules(1, 1);
    promotions.refused("schedule.zone");
    lag(&metrics)(&Statistics::default());
    let text = metrics.render();
    for entry in TABLE {
        assert!(text.contains(entry.name()), "{} is not shown", entry.name());
    }
    assert!(
        text.contains("clickmill_relay_hints_total{kind=\"suggest\",slot=\"suggested\"} 1"),
        "{text}"
    );
    let quantiles = [
        ("suggest", "0.5", "0.05"),
        ("suggest", "0.99", "0.099"),
        ("stock", "0.5", "NaN"),
        ("stock", "0.99", "NaN"),
    ];
    for (kind, quantile, seconds) in quantiles {
        let name = "clickmill_relay_click_to_hint_quantile_seconds";
        let line = format!("{name}{{kind=\"{kind}\",quantile=\"{quantile}\"}} {seconds}");
        assert!(text.contains(&line), "{line}: {text}");
    }
}
