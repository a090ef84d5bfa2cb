//! The schedules that start a runbook: the expression, its zone, and where it runs.

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
    /// One schedule; what is wrong with it is reported.
    pub(super) fn schedule(&mut self, node: &Node) -> Option<Schedule> {
        let fields = self.open(node, &SCHEDULE)?;
        let expression = fields.required(&mut self.report, "schedule", SCHEDULE.what);
        let zone = fields.required(&mut self.report, "timezone", SCHEDULE.what);
        let (schedule, timezone) = (self.literal(expression), self.literal(zone));
        if let (Some(schedule), Some(timezone)) = (&schedule, &timezone) {
            self.comes(schedule, timezone, [expression, zone]);
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

    /// That the expression and the zone can be read, and that an instant fits.
    fn comes(&mut self, schedule: &str, timezone: &str, [expression, place]: [Option<&Node>; 2]) {
        let Err(wrong) = Timetable::read(schedule, timezone) else { return };
        let (node, text) = if wrong == ScheduleError::Zone { (place, timezone) } else { (expression, schedule) };
        let Some(node) = node else { return };
        let shown = visible(text, MAX_QUOTED);
        let problem = match wrong {
            ScheduleError::Zone => Problem::new(node.span.clone(), format!("`{shown}` is no time zone"))
                .did_you_mean(text, timezone::names().iter().map(String::as_str))
                .or_help("Use a name of the IANA's list, such as `Africa/Lusaka` or `UTC`."),
            ScheduleError::Expression => Problem::new(node.span.clone(), format!("`{shown}` is no cron expression"))
                .help("Write minute, hour, day of the month, month and day of the week: `0 9 * * mon`."),
            ScheduleError::Never => Problem::new(node.span.clone(), format!("`{shown}` never comes"))
                .help("No day of the calendar fits it."),
        };
        self.report.add(problem);
    }

    /// A run needs an environment, and nobody is there to name one.
    fn runs_somewhere(&mut self, fields: &Fields<'_>, environments: &[String]) {
        let Some(estate) = self.world.estate.filter(|_| environments.is_empty()) else { return };
        if estate.default_environment.is_some() {
            return;
        }
        let known: Vec<&str> = estate.environments.keys().map(String::as_str).collect();
        let problem =
            Problem::new(fields.span.clone(), "the schedule says no environment, and the estate has no default");
        self.report.add(problem.help(format!("Add `environments: [{}]`.", known.join(", "))));
    }

    fn params_of_schedule(&mut self, fields: &Fields<'_>) -> Map<String, Value> {
        let entries = fields.get("params").and_then(|node| self.report.entries(node, "a mapping of params by name"));
        let mut given = Map::new();
        for entry in entries.unwrap_or_default() {
            match self.params.iter().find(|param| param.name == entry.key).map(|param| param.kind.clone()) {
                Some(kind) => drop(given.insert(entry.key.clone(), self.default_value(&entry.value, &kind))),
                None => {
                    let known: Vec<&str> = self.params.iter().map(|param| param.name.as_str()).collect();
                    let shown = visible(&entry.key, MAX_QUOTED);
                    let problem = Problem::new(entry.key_span.clone(), format!("there is no param `{shown}`"));
                    self.report.add(problem.did_you_mean(&entry.key, known));
                }
            }
        }
        let missing = self.params.iter().find(|param| param.default.is_none() && !given.contains_key(&param.name));
        if let Some(name) = missing.map(|param| param.name.clone()) {
            let problem = Problem::new(fields.span.clone(), format!("nothing gives the param `{name}` a value"));
            self.report.add(problem.help(format!("Add `params: {{ {name}: … }}` here, or give the param a default.")));
        }
        given
    }

    /// Schedules belong to planned work, and each of its environments has one.
    pub(super) fn schedules_fit(&mut self, severity: Option<Severity>, schedules: &[(Schedule, &Node)]) {
        // One without names runs in the default environment.
        let default = self.world.estate.and_then(|estate| estate.default_environment.clone()).unwrap_or_default();
        let mut seen: Vec<(&str, &Node)> = Vec::new();
        for (schedule, node) in schedules {
            if severity.is_some_and(|severity| severity != Severity::Maintenance) {
                let message = "a schedule starts planned work, and this is an incident's runbook";
                self.report.add(Problem::new(node.span.clone(), message).help("Write `severity: maintenance`."));
            }
            let own = match &*schedule.environments {
                [] => std::slice::from_ref(&default),
                named => named,
            };
            for environment in own {
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
