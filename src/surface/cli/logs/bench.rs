//! What a search of the journal needs of its surroundings: the shop, if there is one, and its environment.
//!
//! Deliberately absent: the store. Only `--attach` opens it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Logs;
use super::clean::Clean;
use super::line::{Look, Pen};
use crate::domain::estate::{Environment, Estate};
use crate::domain::journal::entry::Entry;
use crate::engine::logs::Place;
use crate::surface::cli::failure::{Failure, Result};
use crate::surface::cli::settings::ShopSource;
use crate::surface::cli::shop::Shop;
use crate::surface::cli::station::{Station, hostname, redactor};

/// Where is searched, and how what is found is shown.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) place: Place,
    pub(super) clean: Clean,
    /// Services by their unit without `.service`, which is what most of them call themselves.
    names: BTreeMap<String, String>,
    /// Whether an estate says which services there are.
    pub(super) has_estate: bool,
}

impl Bench {
    pub(super) fn new(logs: &Logs, station: &Station) -> Result<Self> {
        let shop = shop(station)?;
        let estate = shop.as_ref().map(|shop| shop.estate(&station.output)).transpose()?.cloned();
        let has_estate = estate.is_some();
        let estate = estate.unwrap_or_default();
        let environment_name = match &shop {
            Some(shop) if logs.files.is_none() || logs.environment.is_some() => {
                known(&shop.environment(logs.environment.as_deref(), &estate)?, &estate)?
            }
            _ => String::new(),
        };
        let environment = estate.environments.get(&environment_name).cloned().unwrap_or_default();
        if logs.files.is_none() {
            guard_host(&environment, &environment_name)?;
        }
        let secrets = shop.as_ref().map(|shop| station.secrets(&estate, shop)).unwrap_or_default();
        let redactor = Arc::new(redactor(secrets.iter())?);
        if shop.is_none() {
            station.output.say("there is no estate here: services are units, and no secret is known to leave out");
        }
        let working = &station.settings.working_directory;
        let place = Place {
            environment_name,
            environment: Arc::new(environment),
            clock: station.clock(),
            redactor: Arc::clone(&redactor),
            basics: Arc::new(station.settings.basics()),
            directory: shop.map_or_else(|| working.clone(), |shop| shop.directory),
            files: logs.files.as_ref().map(|files| working.join(files)),
            estate: Arc::new(estate),
        };
        let names = names(&place.estate);
        Ok(Self { place, clean: Clean(redactor), names, has_estate })
    }

    /// Who wrote a line, as the estate calls it.
    pub(super) fn service(&self, entry: &Entry) -> String {
        let own = entry.service();
        let unit = || self.names.get(entry.unit()?.strip_suffix(".service")?);
        let name = self.names.get(&own).or_else(unit).unwrap_or(&own);
        self.clean.text(name)
    }

    /// What draws lines on standard output.
    pub(super) fn pen(&self, station: &Station) -> Pen<'_> {
        let width = station.settings.width();
        Pen::new(self, Look { width, letters: station.settings.letters(), is_evidence: false })
    }
}

/// The shop; none when nobody named one and none is found.
fn shop(station: &Station) -> Result<Option<Shop>> {
    match Shop::open(&station.settings) {
        Ok(shop) => Ok(Some(shop)),
        Err(failure) if failure.exit != crate::surface::exit::Exit::USAGE => Err(failure),
        Err(_) if matches!(station.settings.shop, ShopSource::Found(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn known(name: &str, estate: &Estate) -> Result<String> {
    if estate.environments.contains_key(name) {
        return Ok(name.to_owned());
    }
    let failure = Failure::usage(format!("there is no environment `{}`", name.escape_debug()));
    Err(failure.did_you_mean(name, estate.environments.keys().map(String::as_str)))
}

/// The journal of another host would answer, and say nothing of the environment.
fn guard_host(environment: &Environment, name: &str) -> Result<()> {
    let host = hostname();
    match environment.refuses(&host) {
        Some(pattern) => {
            let failure = Failure::not_allowed(format!("`{host}` is not a host of `{name}`"));
            Err(failure
                .hint(format!("Its hosts are `{pattern}`: type it there, or name copied files: `--directory DIR`.")))
        }
        None => Ok(()),
    }
}

fn names(estate: &Estate) -> BTreeMap<String, String> {
    let stem = |unit: &str| unit.strip_suffix(".service").unwrap_or(unit).to_owned();
    estate.services.iter().map(|(name, service)| (stem(&service.unit), name.clone())).collect()
}
