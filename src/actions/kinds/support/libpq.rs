//! Converts the address of a PostgreSQL into libpq's environment variables, for programs such as `psql` and `pg_dump`.
//!
//! Not here: command-line arguments, which every account of the host can read. Only the same account and root can read a
//! process's environment.

use std::collections::BTreeMap;

use url::{Url, form_urlencoded};

/// `PGCONNECT_TIMEOUT` in seconds.
const CONNECT_TIMEOUT: &str = "10";

/// Parameters of an address and their variables (libpq, "Environment Variables").
const PARAMETERS: [(&str, &str); 4] = [
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("options", "PGOPTIONS"),
];

/// The variables for an address. libpq has defaults for the parts that the address lacks.
pub fn variables(address: &Url) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::from([("PGCONNECT_TIMEOUT".to_owned(), CONNECT_TIMEOUT.to_owned())]);
    let port = address.port().map(|port| port.to_string());
    let database = Some(address.path().trim_start_matches('/')).filter(|name| !name.is_empty());
    let parts = [
        ("PGHOST", address.host_str().map(|host| host.trim_matches(['[', ']']).to_owned())),
        ("PGPORT", port),
        ("PGUSER", Some(decoded(address.username())).filter(|user| !user.is_empty())),
        ("PGPASSWORD", address.password().map(decoded)),
        ("PGDATABASE", database.map(decoded)),
    ];
    variables.extend(parts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    for (key, value) in address.query_pairs() {
        let known = PARAMETERS.iter().find(|(parameter, _)| *parameter == key);
        variables.extend(known.map(|(_, name)| ((*name).to_owned(), value.into_owned())));
    }
    variables
}

/// Percent-decodes a part of an address, with a decoder for forms. `+` and `&` are escaped first, since they have a
/// meaning there.
fn decoded(part: &str) -> String {
    let form = format!("={}", part.replace('+', "%2B").replace('&', "%26"));
    form_urlencoded::parse(form.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Vec<String> {
        let all = variables(&address.parse().unwrap());
        all.into_iter()
            .filter(|(name, _)| name != "PGCONNECT_TIMEOUT")
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    #[test]
    fn every_part_of_an_address_has_its_variable() {
        assert_eq!(
            of("postgres://shop:p%40s%2Bs+w&r=d@db.example:5433/sh%20op?sslmode=verify-full&x=1"),
            [
                "PGDATABASE=sh op",
                "PGHOST=db.example",
                "PGPASSWORD=p@s+s+w&r=d",
                "PGPORT=5433",
                "PGSSLMODE=verify-full",
                "PGUSER=shop"
            ]
        );
        assert_eq!(of("postgres://[::1]/"), ["PGHOST=::1"]);
    }
}
