//! A sender that posts alerts, each a different firing, and waits for every answer.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::poll::{Connection, readable};

/// The requests: path, token and the content of their alerts.
pub struct Body {
    path: String,
    token: String,
    /// The number of different alert names.
    names: usize,
    /// The prefix of the names.
    name: String,
    status: String,
    /// The first number.
    from: usize,
    /// Alerts per second; 0 for no limit.
    rate: usize,
    /// `webhook`: as Alertmanager sends; `api`: as Alertmanager accepts.
    form: String,
    /// The file for the numbers of accepted alerts.
    taken: Option<String>,
}

impl Body {
    /// From arguments such as `names=100`.
    pub fn of(words: &[&str]) -> Self {
        let find = |wanted: &str| words.iter().filter_map(|word| word.split_once('=')).find(|(key, _)| *key == wanted);
        let text = |key: &str, usual: &str| find(key).map_or(usual, |(_, value)| value).to_owned();
        let number = |key: &str, usual: usize| find(key).map_or(usual, |(_, value)| super::number(value));
        Self {
            path: text("path", "/"),
            token: text("token", "none"),
            names: number("names", 100).max(1),
            name: text("name", "storm"),
            status: text("status", "firing"),
            from: number("from", 0),
            rate: number("rate", 0),
            form: text("form", "webhook"),
            taken: find("taken").map(|(_, value)| value.to_owned()),
        }
    }

    /// A request with one alert and a body of one kilobyte.
    fn request(&self, number: usize) -> Vec<u8> {
        let name = format!("{}_{}", self.name, number % self.names);
        let labels = format!(r#"{{"alertname":"{name}","instance":"web-{number:010}:9100","job":"shop","zone":"b"}}"#);
        // Each starts a millisecond after the previous one.
        let (minute, second, milli) = (number / 60_000 % 60, number / 1_000 % 60, number % 1_000);
        let starts_at = format!("2026-01-01T03:{minute:02}:{second:02}.{milli:03}Z");
        let rest = format!(r#""startsAt":"{starts_at}","generatorURL":"http://prometheus:9090/graph?g0.expr=up""#);
        let status = &self.status;
        let alert = |pad: &str| match self.form.as_str() {
            "api" => format!(r#"[{{"labels":{labels},"annotations":{{"summary":"{pad}"}},{rest}}}]"#),
            _ => format!(
                r#"{{"version":"4","status":"{status}","receiver":"runbook","groupLabels":{{"alertname":"{name}"}},
"commonLabels":{labels},"commonAnnotations":{{}},"externalURL":"http://alertmanager:9093","alerts":[{{"status":"{status}",
"fingerprint":"{number:016x}","labels":{labels},"annotations":{{"summary":"{pad}"}},"endsAt":"0001-01-01T00:00:00Z",{rest}}}]}}"#
            ),
        };
        let pad = "x".repeat(1_024_usize.saturating_sub(alert("").len()));
        let body = alert(&pad);
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer {}\r\n\
             Content-Length: {}\r\n\r\n",
            self.path,
            self.token,
            body.len()
        );
        (head + &body).into_bytes()
    }
}

fn connect(port: u16) -> Connection {
    Connection::new(TcpStream::connect(("127.0.0.1", port)).expect("the server listens"))
}

/// Posts `count` alerts over `connections`, each of which waits for its answer before it sends again.
pub fn post(port: u16, connections: usize, count: usize, body: &Body) {
    let mut lines: Vec<(Connection, Option<(usize, Instant)>)> =
        (0..connections).map(|_| (connect(port), None)).collect();
    let (mut next, mut times, mut taken, begun) = (0, Vec::new(), Vec::new(), Instant::now());
    while times.len() < count {
        for (index, (line, waiting)) in lines.iter_mut().enumerate().filter(|(_, (_, waiting))| waiting.is_none()) {
            // With a rate limit, connections alternate, since a server closes an idle connection.
            let may_send = body.rate == 0 || next % connections == index;
            if may_send && next < count && is_time(begun, next, body.rate) {
                let request = body.request(body.from + next);
                *waiting = Some((body.from + next, Instant::now()));
                line.stream.write_all(&request).expect("the server reads");
                next += 1;
            }
        }
        let waiting = lines.iter_mut().filter(|(_, waiting)| waiting.is_some());
        let mut waiting: Vec<_> = waiting.collect();
        if waiting.is_empty() {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        }
        let ready = readable(waiting.iter().map(|(line, _)| line.descriptor()));
        for ((line, sent), _) in waiting.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            assert!(line.fill(), "the server has closed the connection");
            if let (Some(answer), Some((number, at))) = (line.message(), *sent) {
                times.push(at.elapsed());
                *sent = None;
                if answer.starts_with(b"HTTP/1.1 2") {
                    taken.push(number);
                }
            }
        }
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    print!("rate={rate:.0} taken={} ", taken.len());
    super::print_times(times);
    if let Some(path) = &body.taken {
        let lines: Vec<String> = taken.iter().map(|number| format!("{number:016x}\n")).collect();
        std::fs::write(path, lines.concat()).expect("a file can be written");
    }
}

fn is_time(begun: Instant, next: usize, rate: usize) -> bool {
    rate == 0 || begun.elapsed().as_secs_f64() * rate as f64 >= next as f64
}

/// The pause between two posts.
const REST: Duration = Duration::from_millis(10);

/// Posts alerts one by one, each after the program of the previous one has run, and prints the times until it ran.
pub fn first(port: u16, count: usize, stamps: &str, body: &Body) {
    let mut line = connect(port);
    let mut times = Vec::new();
    for number in 0..count {
        // The server finishes the previous alert in this time.
        std::thread::sleep(REST);
        let request = body.request(body.from + number);
        let sent = super::now();
        line.stream.write_all(&request).expect("the server reads");
        let stamp = loop {
            let text = std::fs::read_to_string(stamps).unwrap_or_default();
            if let Some(stamp) = text.ends_with('\n').then(|| text.lines().nth(number)).flatten() {
                break super::number::<u128>(stamp);
            }
            std::thread::sleep(Duration::from_micros(500));
        };
        times.push(Duration::from_nanos(u64::try_from(stamp.saturating_sub(sent)).unwrap_or(u64::MAX)));
        while line.message().is_none() {
            assert!(line.fill(), "the server has closed the connection");
        }
    }
    super::print_times(times);
}
