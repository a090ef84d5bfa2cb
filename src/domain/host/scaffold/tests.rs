//! The checker accepts the first files.

use super::*;
use crate::domain::config::estate_check;
use crate::domain::core::diagnostic::Source;

fn found() -> DiscoveredProject {
    let health =
        DiscoveredHealth { port: 8000, live: "/healthz".into(), ready: None, metrics: Some("/metrics".into()) };
    DiscoveredProject {
        hostname: "host-1.example".into(),
        systemd: "unix:path=/run/x,guid=1".into(),
        prefix: Some("shop-".into()),
        services: vec![
            DiscoveredService { unit: "shop-web.service".into(), health: Some(health), ..DiscoveredService::default() },
            DiscoveredService {
                unit: "shop-a\\x2db@1.service".into(),
                ports: [9].into(),
                ..DiscoveredService::default()
            },
            DiscoveredService {
                unit: "shop-yes.service".into(),
                language: Some("Node.js".into()),
                ..DiscoveredService::default()
            },
        ],
        stores: vec![DiscoveredDatastore {
            kind: "redis".into(),
            unit: Some("redis-server.service".into()),
            port: 6379,
            listens: false,
        }],
        tree: Some(DiscoveredWorktree { directory: "/srv/my shop".into(), branch: Some("main".into()) }),
        environments: Vec::new(),
    }
}

#[test]
fn no_host_matches_an_environment_on_another_machine() {
    let environments = vec!["staging".to_owned(), "production".to_owned()];
    let estate = checked(&DiscoveredProject { environments, ..found() });
    assert_eq!(estate.default_environment.as_deref(), Some("staging"));
    assert_eq!(estate.environments["staging"].refuses("host-1.example"), None);
    assert!(estate.environments["production"].refuses("host-1.example").is_some());
}

fn checked(found: &DiscoveredProject) -> crate::domain::config::estate::Estate {
    let text = estate(found);
    estate_check::check(&Source::new("estate.yaml", text.clone()))
        .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

#[test]
fn the_estate_is_valid_and_has_what_was_discovered() {
    let estate = checked(&found());
    let web = &estate.services["web"];
    assert_eq!((web.port, web.live.as_str(), web.ready.as_str()), (Some(8000), "/healthz", "/healthz"));
    assert_eq!(web.metrics, "/metrics");
    assert_eq!(estate.services["a-x2db-1"].unit, "shop-a\\x2db@1.service");
    assert_eq!(estate.services["yes"].language.as_deref(), Some("Node.js"));
    assert_eq!(estate.datastores["redis"].unit.as_deref(), Some("redis-server.service"));
    assert_eq!(estate.environments["production"].repository.as_deref(), Some("/srv/my shop"));
    assert!(super::estate(&found()).contains("nothing listens on this port now"));
}

#[test]
fn the_estate_is_valid_when_nothing_was_discovered() {
    let nothing = DiscoveredProject { hostname: "h".into(), systemd: "system".into(), ..DiscoveredProject::default() };
    assert!(checked(&nothing).services.is_empty());
}

#[test]
fn runbooks_have_git_steps_only_with_a_work_tree() {
    for found in [found(), DiscoveredProject { tree: None, ..found() }] {
        let with_git = runbooks(&found).into_iter().filter(|(_, text)| text.contains("git:")).count();
        assert_eq!(with_git, if found.tree.is_some() { 3 } else { 0 });
        assert!(runbooks(&found).iter().all(|(_, text)| !text.contains("#{") && !text.contains("#}")));
    }
}

#[test]
fn the_prefix_is_the_most_frequent_one() {
    assert_eq!(prefix(["shop-a.service", "cron.service", "shop-b.service", "my-x.service"]).as_deref(), Some("shop-"));
    assert_eq!(prefix(["a-x.service", "b-x.service"]), None);
}
