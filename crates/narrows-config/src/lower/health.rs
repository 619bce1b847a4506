//! Health checks and agents.

use super::Lowering;
use super::upstream::short;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::model;
use crate::nearest::nearest;
use crate::shape::{OneOrMany, Percent, StatusRange, TextOr};
use crate::tree::Text;
use narrows_plan::{
    Address, AgentCheck, CheckKind, Endpoint, HealthCheck, HttpCheck, StartState, Upstream, defaults,
};

/// Kinds that a word says, as it stands in place of the table.
const WORDS: [&str; 8] = ["tcp", "tls", "grpc", "postgresql", "mysql", "redis", "smtp", "ldap"];

/// Keys of a health check that say what is asked.
const KINDS: [&str; 11] =
    ["http", "tcp", "handshake", "grpc", "postgresql", "mysql", "redis", "smtp", "ldap", "udp", "command"];

/// What others call a kind.
const SYNONYMS: [(&str, &str); 6] = [
    ("postgres", "postgresql"),
    ("pgsql", "postgresql"),
    ("mariadb", "mysql"),
    ("connect", "tcp"),
    ("ssl", "tls"),
    ("valkey", "redis"),
];

impl Lowering<'_> {
    pub(super) fn health(
        &mut self,
        written: &TextOr<model::HealthCheck>,
        upstream: &Upstream,
    ) -> Option<HealthCheck> {
        let (health, place) = match written {
            TextOr::Short(word) => (self.kind_of_word(word).map(check)?, word.place),
            TextOr::Long(table) => (self.health_table(table, upstream)?, table.key("handshake")),
        };
        if matches!(health.kind, CheckKind::Tls) && upstream.tls.is_none() {
            let message = "a handshake is checked as the upstream makes it, and there is no `tls` here";
            let help = "give the upstream `tls`; where TLS passes through, `health: tcp` sees whether somebody listens";
            self.reporter.report(Finding::error(Code::NoEffect, place, message).help(help));
        }
        Some(health)
    }

    fn health_table(&mut self, table: &model::HealthCheck, upstream: &Upstream) -> Option<HealthCheck> {
        let kind = self.kind(table);
        let bare = check(CheckKind::Tls);
        let mut times = HealthCheck {
            interval: self.some_time(table.interval, table.key("interval"), bare.interval),
            timeout: self.some_time(table.timeout, table.key("timeout"), bare.timeout),
            jitter: table.jitter.map_or(bare.jitter, |Percent(percent)| percent),
            rise: table.rise.map_or(bare.rise, short),
            fall: table.fall.map_or(bare.fall, short),
            port: table.port.and_then(|port| u16::try_from(port.number).ok()),
            address: table.address.as_ref().and_then(|address| self.ip_address(address)),
            tls: table.tls.is_none_or(|flag| flag.0),
            start: match table.start {
                None | Some(model::StartState::Up) => StartState::Up,
                Some(model::StartState::Down) => StartState::Down,
                Some(model::StartState::Checked) => StartState::Checked,
            },
            ..bare
        };
        if table.fast_interval.is_some() {
            let place = table.key("fast_interval");
            times.fast_interval = Some(self.some_time(table.fast_interval, place, times.interval));
        }
        if table.slow_interval.is_some() {
            let place = table.key("slow_interval");
            times.slow_interval = Some(self.some_time(table.slow_interval, place, times.interval));
        }
        let kind = kind?;
        self.check_tls(table, &kind, upstream);
        Some(HealthCheck { kind, ..times })
    }

    /// `tls` of a check means something where the upstream has TLS and the check makes a connection.
    fn check_tls(&mut self, table: &model::HealthCheck, kind: &CheckKind, upstream: &Upstream) {
        if !table.has("tls") {
            return;
        }
        let place = table.key("tls");
        match kind {
            CheckKind::Tls => self.refuse_useless(place, "`handshake` always speaks TLS", "remove `tls`"),
            CheckKind::Udp { .. } | CheckKind::Command { .. } => {
                let message =
                    format!("`tls` has no effect: a check by `{}` makes no connection", kind.name());
                self.refuse_useless(place, message, "remove `tls`");
            }
            _ if upstream.tls.is_none() => {
                let message = "`tls` has no effect: the upstream itself has no TLS";
                self.refuse_useless(place, message, "give the upstream `tls`, or remove this");
            }
            _ => {}
        }
    }

    fn kind_of_word(&mut self, word: &Text) -> Option<CheckKind> {
        if word.text.starts_with('/') {
            return self.asked_path(word).map(|path| CheckKind::Http(Box::new(HttpCheck { path, ..http() })));
        }
        Some(match word.text.as_str() {
            "tcp" => tcp(),
            "tls" => CheckKind::Tls,
            "grpc" => grpc(),
            "postgresql" => postgresql(),
            "mysql" => CheckKind::MySql { user: Box::default() },
            "redis" => CheckKind::Redis { password: Box::default() },
            "smtp" => smtp(),
            "ldap" => CheckKind::Ldap,
            other => {
                let synonym = SYNONYMS.iter().find(|(name, _)| *name == other).map(|(_, known)| *known);
                let help = match (other, synonym.or_else(|| nearest(other, &WORDS))) {
                    ("http" | "https", _) => {
                        "write the path that is asked for: `health: /healthz`".to_owned()
                    }
                    ("udp", _) => "say what is sent: `health: { udp: { send: \"ping\" } }`".to_owned(),
                    ("command", _) => "say which program: `health: { command: [/usr/bin/check] }`".to_owned(),
                    ("off", _) => "without checks, leave `health` out".to_owned(),
                    (_, Some(near)) => format!("did you mean `{near}`?"),
                    _ => format!("write a path, `/healthz` for instance, or one of: {}", WORDS.join(", ")),
                };
                let message = format!("`{other}` is no health check");
                self.reporter.report(Finding::error(Code::UnknownValue, word.place, message).help(help));
                return None;
            }
        })
    }

    /// The one kind of a table.
    fn kind(&mut self, table: &model::HealthCheck) -> Option<CheckKind> {
        let kinds: Vec<_> = table.keys.iter().filter(|(key, _)| KINDS.contains(key)).copied().collect();
        match kinds.as_slice() {
            [_] => {}
            [] => {
                let place = table.place.first_line(&self.reporter.sources);
                let message = "this check does not say what is asked";
                let help = "add one of `http`, `tcp`, `handshake` (TLS), `grpc`, `postgresql`, `mysql`, `redis`, `smtp`, `ldap`, `udp` and `command`";
                self.reporter.report(Finding::error(Code::NotExactlyOne, place, message).help(help));
                return None;
            }
            [(first, place), (second, other), ..] => {
                let message = format!("this check asks two things, `{first}` and `{second}`");
                let finding = Finding::error(Code::NotExactlyOne, *other, message);
                let finding = finding.label(*place, "the first is here");
                self.reporter
                    .report(finding.help("keep the one that says most; `http` connects too, for instance"));
                return None;
            }
        }
        for (key, flag) in [("handshake", table.handshake), ("ldap", table.ldap)] {
            if flag.is_some_and(|flag| !flag.0) {
                self.refuse_useless(
                    table.key(key),
                    "a check that is not made",
                    "write `true`, or leave `health` out",
                );
                return None;
            }
        }
        let text = |text: Option<&Text>, default: &str| -> Box<str> {
            text.map_or(default, |text| text.text.as_str()).into()
        };
        if let Some(http) = &table.http {
            return self.http_check(http).map(|check| CheckKind::Http(Box::new(check)));
        }
        if let Some(tcp) = &table.tcp {
            let Some(tcp) = tcp.table() else { return Some(self::tcp()) };
            let send = tcp.send.as_ref().map_or(Some(Box::default()), |send| self.bytes(send));
            let expect = tcp.expect.as_ref().map(|expect| self.expect(expect));
            return Some(CheckKind::Tcp {
                send: send?,
                expect: expect.map_or(Some(None), |one| one.map(Some))?,
            });
        }
        if let Some(udp) = &table.udp {
            let send = udp.send.as_ref().and_then(|send| self.bytes(send));
            let expect = udp.expect.as_ref().map(|expect| self.expect(expect));
            return Some(CheckKind::Udp {
                send: send?,
                expect: expect.map_or(Some(None), |one| one.map(Some))?,
            });
        }
        if let Some(grpc) = &table.grpc {
            let service = grpc.table().and_then(|grpc| grpc.service.as_ref());
            return Some(CheckKind::Grpc { service: text(service, "") });
        }
        if let Some(postgresql) = &table.postgresql {
            let (user, database) = postgresql
                .table()
                .map_or((None, None), |table| (table.user.as_ref(), table.database.as_ref()));
            self.refuse_nul([user, database])?;
            return Some(CheckKind::PostgreSql { user: text(user, USER), database: text(database, "") });
        }
        if let Some(mysql) = &table.mysql {
            let user = mysql.table().and_then(|table| table.user.as_ref());
            self.refuse_nul([user, None])?;
            return Some(CheckKind::MySql { user: text(user, "") });
        }
        if let Some(redis) = &table.redis {
            let password = redis.table().and_then(|table| table.password.as_ref());
            return Some(CheckKind::Redis { password: text(password, "") });
        }
        if let Some(smtp) = &table.smtp {
            let hello = smtp.table().and_then(|table| table.hello.as_ref());
            if let Some(name) = hello.filter(|name| !name.text.bytes().all(|byte| byte.is_ascii_graphic())) {
                let message = format!("`{}` is not a name that can be told to a mail server", name.text);
                self.reporter.report(Finding::error(Code::BadHost, name.place, message));
                return None;
            }
            return Some(CheckKind::Smtp { hello: text(hello, HELLO) });
        }
        if let Some(command) = &table.command {
            return self.command(command);
        }
        if table.handshake.is_some() {
            return Some(CheckKind::Tls);
        }
        table.ldap.map(|_| CheckKind::Ldap)
    }

    fn command(&mut self, command: &OneOrMany<Text>) -> Option<CheckKind> {
        let program = command.0.first()?;
        if program.text.is_empty() || program.text.contains(' ') && command.0.len() == 1 {
            let message = format!("`{}` is not a program", program.text);
            let help = "write the program and each argument as an entry of a list: `[/usr/bin/check, --fast]`; there is no shell";
            self.reporter.report(Finding::error(Code::UnknownValue, program.place, message).help(help));
            return None;
        }
        self.refuse_nul(command.0.iter().map(Some))?;
        let mut words: Vec<Box<str>> = command.0.iter().map(|word| word.text.as_str().into()).collect();
        // As all paths, from the folder of the file; a bare name is looked for in PATH.
        if program.text.contains('/') {
            words[0] = self.folder.join(&program.text).to_string_lossy().into();
        }
        Some(CheckKind::Command { command: words.into() })
    }

    /// Refuses texts that cannot be sent because a zero ends them.
    fn refuse_nul<'t>(&mut self, texts: impl IntoIterator<Item = Option<&'t Text>>) -> Option<()> {
        let bad = texts.into_iter().flatten().find(|text| text.text.contains('\0'));
        let Some(bad) = bad else { return Some(()) };
        let place = bad.place.first_line(&self.reporter.sources);
        self.reporter.report(Finding::error(Code::UnknownValue, place, "this text cannot hold a zero byte"));
        None
    }

    pub(super) fn agent(&mut self, written: &model::AgentCheck, upstream: &Upstream) -> Option<AgentCheck> {
        let is_unix = |endpoint: &Endpoint| matches!(endpoint.address, Address::Unix(_));
        if !written.has("address") && upstream.endpoints.iter().any(is_unix) {
            let message =
                "there is an endpoint at a Unix socket, and beside it no port where an agent could be";
            let help = "write the `address` of the agent; without one such endpoints have none";
            self.reporter.defer(Finding::warning(Code::NoEffect, written.place, message).help(help));
        }
        let interval = self.some_time(written.interval, written.key("interval"), defaults::CHECK_INTERVAL);
        let timeout = self.some_time(written.timeout, written.key("timeout"), defaults::CHECK_TIMEOUT);
        let address = written.address.as_ref().and_then(|address| self.ip_address(address));
        let port = written.port.and_then(|port| u16::try_from(port.number).ok())?;
        let send = written.send.as_ref().map_or("", |send| &send.text).into();
        Some(AgentCheck { port, address, send, interval, timeout })
    }
}

/// Who PostgreSQL is told to be asked by.
const USER: &str = "narrows";
/// Who SMTP servers are told to be asked by.
const HELLO: &str = "localhost";

fn tcp() -> CheckKind {
    CheckKind::Tcp { send: Box::default(), expect: None }
}

fn grpc() -> CheckKind {
    CheckKind::Grpc { service: Box::default() }
}

fn postgresql() -> CheckKind {
    CheckKind::PostgreSql { user: USER.into(), database: Box::default() }
}

fn smtp() -> CheckKind {
    CheckKind::Smtp { hello: HELLO.into() }
}

/// The request of an HTTP check of which nothing is said.
pub(super) fn http() -> HttpCheck {
    HttpCheck {
        path: "/".into(),
        method: "GET".into(),
        host: None,
        headers: Box::default(),
        statuses: Box::new([(200, 399)]),
        body: None,
    }
}

/// A check of which only the kind is said.
fn check(kind: CheckKind) -> HealthCheck {
    HealthCheck {
        kind,
        interval: defaults::CHECK_INTERVAL,
        fast_interval: None,
        slow_interval: None,
        jitter: defaults::CHECK_JITTER,
        timeout: defaults::CHECK_TIMEOUT,
        rise: defaults::CHECK_RISE,
        fall: defaults::CHECK_FALL,
        port: None,
        address: None,
        tls: true,
        start: StartState::default(),
    }
}

/// Ranges of statuses as the plan has them.
pub(super) fn statuses(written: &OneOrMany<StatusRange>) -> Box<[(u16, u16)]> {
    written.0.iter().map(|range| (range.first, range.last)).collect()
}
