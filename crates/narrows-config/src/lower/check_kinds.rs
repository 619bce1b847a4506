//! What a health check asks.

use super::Lowering;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::model;
use crate::nearest::nearest;
use crate::shape::{OneOrMany, StatusRange};
use crate::tree::Text;
use narrows_plan::{CheckKind, HttpCheck};

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
    pub(super) fn kind_of_word(&mut self, word: &Text) -> Option<CheckKind> {
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
    pub(super) fn kind(&mut self, table: &model::HealthCheck) -> Option<CheckKind> {
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

/// Ranges of statuses as the plan has them.
pub(super) fn statuses(written: &OneOrMany<StatusRange>) -> Box<[(u16, u16)]> {
    written.0.iter().map(|range| (range.first, range.last)).collect()
}
