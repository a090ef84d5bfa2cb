//! Results, refusals, and the places of errors.

use serde_json::json;

use super::*;

fn scope() -> Value {
    Value::from(minijinja::value::Serde(json!({
        "params": { "service": "gateway", "count": 3, "odd": "{{ 7 * 7 }}" },
        "steps": { "cause": { "answer": "code" }, "deploys": { "commits": ["a", "b"], "none": null } },
    })))
}

fn error(result: Result<Json, ExpressionError>) -> String {
    let error = result.expect_err("the source is wrong");
    match &error.hint {
        Some(hint) => format!("{error}: {hint}"),
        None => error.to_string(),
    }
}

#[test]
fn a_whole_expression_keeps_its_type_and_a_mixture_is_text() {
    assert_eq!(render("{{ params.count }}", &scope()), Ok(json!(3)));
    assert_eq!(render("{{ steps.deploys.commits }}", &scope()), Ok(json!(["a", "b"])));
    assert_eq!(render("n={{ params.count }}", &scope()), Ok(json!("n=3")));
    assert_eq!(render("plain", &scope()), Ok(json!("plain")));
    assert_eq!(render("{{ params.count > 2 }} {{ none }}", &scope()), Ok(json!("true null")));
    assert_eq!(render("{{ steps.deploys.commits }}!", &scope()), Ok(json!(r#"["a","b"]!"#)));
    assert_eq!(render("{{ range(3) | map('string') | list }}", &scope()), Ok(json!(["0", "1", "2"])));
    assert_eq!(render("{{ steps.deploys.commits | map('upper') }}", &scope()), Ok(json!(["A", "B"])));
}

#[test]
fn data_is_never_evaluated_again() {
    assert_eq!(render("{{ params.odd }}", &scope()), Ok(json!("{{ 7 * 7 }}")));
    assert_eq!(render("x {{ params.odd }}", &scope()), Ok(json!("x {{ 7 * 7 }}")));
}

#[test]
fn an_undefined_name_is_an_error_with_its_place_and_a_suggestion() {
    assert_eq!(
        error(render("a\nb {{ steps.cuase.answer }}", &scope())),
        "`steps.cuase.answer` is not defined (line 2, column 6): Did you mean `steps.cause`?"
    );
    assert_eq!(
        error(render("{{ params.servce }}", &scope())),
        "`params.servce` is not defined (line 1, column 4): Did you mean `params.service`?"
    );
    assert_eq!(error(evaluate("nothing", &scope())), "`nothing` is not defined (line 1, column 1)");
    assert_eq!(
        error(evaluate("steps.deploys.nothing", &scope())),
        "`steps.deploys.nothing` is not defined (line 1, column 1)"
    );
    assert_eq!(
        truthy("steps.cause.answre == 'code'", &scope()).map_err(|e| e.message),
        Err("`steps.cause.answre` is not defined".to_owned())
    );
    assert_eq!(error(render("x{% if nope %}{% endif %}", &scope())), "`nope` is not defined (line 1, column 8)");
}

#[test]
fn a_condition_is_true_or_false() {
    assert_eq!(truthy("steps.cause.answer == 'code'", &scope()), Ok(true));
    assert_eq!(truthy("steps.deploys.commits", &scope()), Ok(true));
    assert_eq!(truthy("params.count > 5 or false", &scope()), Ok(false));
    assert_eq!(truthy("steps.other is defined", &scope()), Ok(false));
    assert_eq!(truthy("steps.deploys.none", &scope()), Ok(false));
}

#[test]
fn syntax_errors_have_a_place() {
    for (source, line, column) in
        [("{{ a b }}", 1, 6), ("x\n{{ ( }}", 2, 1), ("{% if a %}", 1, 9), ("{{ a | nofilter }}", 1, 8), ("{{", 1, 1)]
    {
        let error = references(source).expect_err(source);
        assert_eq!((error.line, error.column), (line, column), "{source}: {error}");
    }
}

#[test]
fn work_depth_and_size_are_bounded() {
    let scope = scope();
    let doubling =
        "{% set x = 'aaaaaaaaaaaaaaaa' %}{% for i in range(60) %}{% set ns = x %}{% endfor %}{{ 'a' * 10000000 }}";
    assert!(render(doubling, &scope).is_err());
    assert!(render("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}", &scope).is_err());
    for hostile in [
        "(".repeat(100_000),
        format!("{{{{ a{} }}}}", ".b".repeat(100_000)),
        format!("{{{{ a{} }}}}", " + a".repeat(500)),
        format!("{{{{ a{} }}}}", "|upper".repeat(300)),
        format!("{{{{ {}a }}}}", "not ".repeat(500)),
        format!("{{{{ a{}", "+a".repeat(100_000)),
        format!("{{% if a %}}{}{{% endif %}}", "{% elif b %}".repeat(400)),
        "{% if a %}".repeat(10_000),
        "{{".repeat(100_000),
        "{%".repeat(100_000),
    ] {
        let _ = render(&hostile, &scope);
        let _ = references(&hostile);
        let _ = evaluate(&hostile, &scope);
        let _ = references_of_expression(&hostile);
    }
}

#[test]
fn a_result_that_is_no_plain_data_is_refused() {
    assert!(render("{{ range }}", &scope()).is_err());
    assert!(render("{% include 'x' %}", &scope()).is_err());
    assert!(render("{{ debug() }}", &scope()).is_err());
}

#[test]
fn references_name_the_free_paths_in_order() {
    let paths = |source: &str| -> Vec<(String, String)> {
        references(source).expect(source).into_iter().map(|r| (r.path, source[r.range].to_owned())).collect()
    };
    let pair = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    assert_eq!(
        paths(
            "{{ params.service | default(value=environment.branch) }} {% for c in steps.deploys.commits %}{{ c.sha }}{{ steps[\"a\"].b }}{% endfor %}"
        ),
        [
            pair("params.service", "params.service"),
            pair("environment.branch", "environment.branch"),
            pair("steps.deploys.commits", "steps.deploys.commits"),
            pair("steps.a.b", "steps[\"a\"].b"),
        ]
    );
    assert_eq!(paths("{{ steps.a.name.upper() }}"), [pair("steps.a.name", "steps.a.name")]);
    assert_eq!(paths("{{ range(3) ~ 'steps.x' }}"), []);
    let expression = references_of_expression("steps.a is defined and params.x == 'steps.y'").expect("valid");
    assert_eq!(expression.iter().map(|r| r.path.as_str()).collect::<Vec<_>>(), ["steps.a", "params.x"]);
}

#[test]
fn every_suggested_filter_exists() {
    for filter in FILTERS {
        let source = format!("{{{{ x | {filter} }}}}");
        assert!(references(&source).is_ok(), "{filter}");
    }
    let error = references("{{ x | uper }}").expect_err("no such filter");
    assert_eq!(error.hint.as_deref(), Some("Did you mean `upper`?"));
}

#[test]
fn the_time_between_two_instants_is_counted() {
    let scope = Value::from(minijinja::value::Serde(json!({"now": "2026-11-23T09:00:00Z"})));
    for (expression, expected) in [
        ("now | days_since('2026-11-20')", json!(3.38)),
        ("now | hours_since('2026-11-23T08:30:00+02:00')", json!(2.5)),
        ("now | days_since('2026-11-25T09:00:00.000Z') < 0", json!(true)),
    ] {
        assert_eq!(evaluate(expression, &scope).unwrap(), expected, "{expression}");
    }
    let error = evaluate("now | days_since('soon')", &scope).unwrap_err().to_string();
    assert!(error.contains("`soon` is no instant"), "{error}");
}
