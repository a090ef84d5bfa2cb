//! Schedules: the expression, its time zone, the environments and the params.

use serde_json::{Map, Value};

use super::RunbookChecker;
use crate::domain::config::yaml::fields::Fields;
use crate::domain::config::yaml::node::Node;
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, visible};
use crate::domain::core::severity::Severity;
use crate::domain::core::timezone;
use crate::domain::runbook::runbook_schema::{CATCH_UPS, OVERLAPS, SCHEDULE};
use crate::domain::runbook::schedule::{CatchUp, Overlap, Schedule, ScheduleError, Timetable};

impl RunbookChecker<'_> {
    /// One schedule.
    pub(super) fn schedule(&mut self, node: &Node) -> Option<Schedule> {
        let fields = self.open(node, &SCHEDULE)?;
        let expression = fields.required(&mut self.report, "schedule", SCHEDULE.what);
        let zone = fields.required(&mut self.report, "timezone", SCHEDULE.what);
        let (schedule, timezone) = (self.literal(expression), self.literal(zone));
        if let (Some(schedule), Some(timezone)) = (&schedule, &timezone) {
            self.check_timetable(schedule, timezone, [expression, zone]);
        }
        let overlap = fields.get("overlap").map_or(Some(Overlap::Skip), |node| self.report.keyword(node, OVERLAPS));
        let catch_up = fields.get("catch_up").map_or(Some(CatchUp::Once), |node| self.report.keyword(node, CATCH_UPS));
        let environments = fields.get("environments").map(|node| self.environments(node)).unwrap_or_default();
        self.runs_somewhere(&fields, &environments);
        let params = self.params_of_schedule(&fields);
        Some(Schedule {
            schedule: schedule?,
            timezone: timezone?,
            overlap: overlap?,
            catch_up: catch_up?,
            environments,
            params,
        })
    }

    fn literal(&mut self, node: Option<&Node>) -> Option<String> {
        node.and_then(|node| self.report.text(node)).map(str::to_owned)
    }

    /// Checks that the expression and the time zone are valid, and that there is an occurrence.
    fn check_timetable(&mut self, schedule: &str, timezone: &str, [expression, place]: [Option<&Node>; 2]) {
        let Err(error) = Timetable::read(schedule, timezone) else { return };
        let (node, text) = if error == ScheduleError::Zone { (place, timezone) } else { (expression, schedule) };
        let Some(node) = node else { return };
        let shown = visible(text, MAX_QUOTED);
        let problem = match error {
            ScheduleError::Zone => Problem::new(node.span.clone(), format!("`{shown}` is no time zone"))
                .did_you_mean(text, timezone::names().iter().map(String::as_str))
                .or_help("Use an IANA name, such as `Africa/Lusaka` or `UTC`."),
            ScheduleError::Expression => Problem::new(node.span.clone(), format!("`{shown}` is no cron expression"))
                .help("Write minute, hour, day of the month, month and day of the week: `0 9 * * mon`."),
            ScheduleError::Never => Problem::new(node.span.clone(), format!("`{shown}` has no occurrence"))
                .help("No day of the calendar fits it."),
        };
        self.report.add(problem);
    }

    /// Reports a schedule without an environment: nobody is asked for one when it starts.
    fn runs_somewhere(&mut self, fields: &Fields<'_>, environments: &[String]) {
        let Some(estate) = self.context.estate.filter(|_| environments.is_empty()) else { return };
        if estate.default_environment.is_some() {
            return;
        }
        let known: Vec<&str> = estate.environments.keys().map(String::as_str).collect();
        let problem =
            Problem::new(fields.span.clone(), "the schedule has no environment, and the estate has no default");
        self.report.add(problem.help(format!("Add `environments: [{}]`.", known.join(", "))));
    }

    fn params_of_schedule(&mut self, fields: &Fields<'_>) -> Map<String, Value> {
        let entries = fields.get("params").and_then(|node| self.report.entries(node, "a mapping of params by name"));
        let mut given = Map::new();
        for entry in entries.unwrap_or_default() {
            let kind = self.params.iter().find(|param| param.name == entry.key).map(|param| param.kind.clone());
            if let Some(kind) = kind {
                given.insert(entry.key.clone(), self.default_value(&entry.value, &kind));
            } else if let Some(problem) = self.missing_param(&entry.key) {
                self.report.add(Problem { span: entry.key_span.clone(), ..problem });
            }
        }
        let missing = self.params.iter().find(|param| param.default.is_none() && !given.contains_key(&param.name));
        if let Some(name) = missing.map(|param| param.name.clone()) {
            let problem = Problem::new(fields.span.clone(), format!("nothing gives the param `{name}` a value"));
            self.report.add(problem.help(format!("Add `params: {{ {name}: … }}` here, or give the param a default.")));
        }
        given
    }

    /// Checks that only planned work has schedules, and that each environment has one.
    pub(super) fn schedules_fit(&mut self, severity: Option<Severity>, schedules: &[(Schedule, &Node)]) {
        // A schedule without environments runs in the default one.
        let default = self.context.estate.and_then(|estate| estate.default_environment.clone()).unwrap_or_default();
        let mut seen: Vec<(&str, &Node)> = Vec::new();
        for (schedule, node) in schedules {
            if severity.is_some_and(|severity| severity != Severity::Maintenance) {
                let message = "a schedule starts planned work, and this is an incident's runbook";
                self.report.add(Problem::new(node.span.clone(), message).help("Write `severity: maintenance`."));
            }
            let environments = match &*schedule.environments {
                [] => std::slice::from_ref(&default),
                named => named,
            };
            for environment in environments {
                match seen.iter().find(|(name, _)| name == environment) {
                    Some((_, first)) => self.report.add(scheduled_twice(environment, node, first)),
                    None => seen.push((environment, node)),
                }
            }
        }
    }
}

fn scheduled_twice(environment: &str, node: &Node, first: &Node) -> Problem {
    let message = format!("`{}` has a schedule already", visible(environment, MAX_QUOTED));
    Problem::new(node.span.clone(), message)
        .related(first.span.clone(), "it is here")
        .help("Join the two into one expression, such as `0 9 * * mon,thu`, or make another runbook.")
}
