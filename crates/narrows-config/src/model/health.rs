//! Health checks and agents as they are written.

use super::keys::HeaderName;
use super::time;
use crate::shape::{
    Duration, Flag, Map, Number, OPTIONAL, OneOrMany, Percent, REQUIRED, StatusRange, TextOr, TrueOr, choice,
    otherwise, table,
};
use crate::tree::Text;
use narrows_plan::defaults;

table! {
    /// Asking servers whether they are well: exactly one of the kinds `http`, `tcp`, `handshake`, `grpc`, `postgresql`, `mysql`,
    /// `redis`, `smtp`, `ldap`, `udp` and `command`, and when to ask.
    HealthCheck {
        /// Kind: an HTTP request gets a good status. A text is its path.
        http: TextOr<HttpCheck> = OPTIONAL,
        /// Kind: a connection can be made, and what is sent gets what is expected.
        tcp: TrueOr<TcpCheck> = OPTIONAL,
        /// Kind: a TLS handshake succeeds, as `tls` of the upstream says; without that, where TLS passes through, with any certificate.
        handshake: Flag = OPTIONAL,
        /// Kind: `grpc.health.v1.Health/Check` says SERVING. It speaks HTTP/2, whatever `protocol` says.
        grpc: TrueOr<GrpcCheck> = OPTIONAL,
        /// Kind: a startup message gets an answer that is no fatal error, other than one about the login.
        postgresql: TrueOr<PostgreSqlCheck> = OPTIONAL,
        /// Kind: the server takes a login; without a user, a refused one is good enough.
        mysql: TrueOr<MySqlCheck> = OPTIONAL,
        /// Kind: `PING` gets `+PONG`.
        redis: TrueOr<RedisCheck> = OPTIONAL,
        /// Kind: the greeting and `EHLO` get 2xx.
        smtp: TrueOr<SmtpCheck> = OPTIONAL,
        /// Kind: an anonymous bind gets an answer.
        ldap: Flag = OPTIONAL,
        /// Kind: a datagram gets an answer; without `expect`, no ICMP error.
        udp: UdpCheck = OPTIONAL,
        /// Kind: a program ends with status 0. `NARROWS_ADDRESS`, `NARROWS_PORT`, `NARROWS_ENDPOINT` and `NARROWS_UPSTREAM` tell it
        /// what is checked. There is no shell.
        command: CommandCheck = OPTIONAL,
        /// Between two checks of a server that is up.
        interval: Duration = time(defaults::CHECK_INTERVAL),
        /// Between two checks while the state is about to change.
        fast_interval: Duration = otherwise("`interval`"),
        /// Between two checks of a server that is down.
        slow_interval: Duration = otherwise("`interval`"),
        /// Each interval is longer or shorter by up to this share, by chance, so that checks do not march in step.
        jitter: Percent<0, 100> = format!("{}%", defaults::CHECK_JITTER),
        /// A check that takes longer has failed.
        timeout: Duration = time(defaults::CHECK_TIMEOUT),
        /// Checks in a row that must pass before a server is up.
        rise: Number<1, 1000> = defaults::CHECK_RISE.to_string(),
        /// Checks in a row that must fail before it is down.
        fall: Number<1, 1000> = defaults::CHECK_FALL.to_string(),
        /// Another port than the endpoint's. Unix sockets are asked elsewhere only with `address` and `port`.
        port: Number<1, 65_535> = otherwise("the endpoint's"),
        /// Another IP address than the endpoint's.
        address: Text = otherwise("the endpoint's"),
        /// Whether the check speaks TLS where the upstream does.
        tls: Flag = "true",
        /// What a server is before its first check: `up` gets traffic at once, `down` has to pass `rise` checks, `checked` leaves it to
        /// the first check.
        start: StartState = "up",
    }
}

choice! {
    /// What a server is before its first check.
    StartState {
        /// Up.
        Up = "up",
        /// Down.
        Down = "down",
        /// What the first check says.
        Checked = "checked",
    }
}

table! {
    /// The request of an HTTP check, and what is expected of its answer.
    HttpCheck {
        /// Path, with a query where one is needed.
        path: Text = "/",
        /// The method.
        method: Text = "GET",
        /// The `Host` header.
        host: Text = otherwise("the endpoint's name or address"),
        /// Further headers.
        headers: Map<HeaderName, Text> = OPTIONAL,
        /// Good statuses: `200`, `200-399` or `2xx`, or a list of such.
        status: OneOrMany<StatusRange> = "200-399",
        /// What must be in the first 64 KiB of the body. A text is looked for anywhere. Without it the check passes with the head
        /// alone.
        body: TextOr<Expect> = OPTIONAL,
    }
}

/// Bytes: a text, or hexadecimal digits.
pub(crate) type Bytes = TextOr<Hex>;

table! {
    /// Bytes that no text can say.
    Hex {
        /// Pairs of hexadecimal digits; blanks between them do not count.
        hex: Text = REQUIRED,
    }
}

table! {
    /// What must be in an answer: exactly one key. A text in its place is `contains`.
    Expect {
        /// These bytes, anywhere.
        contains: Bytes = OPTIONAL,
        /// A regular expression, found anywhere unless it has `^` and `$`.
        regex: Text = OPTIONAL,
    }
}

table! {
    /// What is sent after connecting, and what must come back. Without both, the connection is enough.
    TcpCheck {
        /// What is sent.
        send: Bytes = otherwise("nothing"),
        /// What must be in the first 64 KiB that come back.
        expect: TextOr<Expect> = OPTIONAL,
    }
}

table! {
    /// What is asked about.
    GrpcCheck {
        /// The service.
        service: Text = otherwise("the whole server"),
    }
}

table! {
    /// What the startup message names. No password is sent.
    PostgreSqlCheck {
        /// The user.
        user: Text = "narrows",
        /// The database.
        database: Text = otherwise("the one that is called like the user"),
    }
}

table! {
    /// Who logs in.
    MySqlCheck {
        /// A user without a password.
        user: Text = otherwise("nobody: the server may refuse the login"),
    }
}

table! {
    /// How the server is asked.
    RedisCheck {
        /// Sent with `AUTH` before.
        password: Text = OPTIONAL,
    }
}

table! {
    /// How the check introduces itself.
    SmtpCheck {
        /// The name in `EHLO`.
        hello: Text = "localhost",
    }
}

table! {
    /// A datagram and its answer.
    UdpCheck {
        /// The datagram.
        send: Bytes = REQUIRED,
        /// What must be in an answer.
        expect: TextOr<Expect> = OPTIONAL,
    }
}

/// A program and its arguments.
pub(crate) type CommandCheck = OneOrMany<Text>;

table! {
    /// An agent beside each server that says how much it can take, in HAProxy's text protocol: a line of words like `up`, `down`,
    /// `drain`, `maint`, `ready` and `75%`.
    AgentCheck {
        /// Its port on the endpoint's host.
        port: Number<1, 65_535> = REQUIRED,
        /// Another IP address than the endpoint's.
        address: Text = otherwise("the endpoint's"),
        /// Sent after connecting.
        send: Text = otherwise("nothing"),
        /// Between two questions.
        interval: Duration = time(defaults::CHECK_INTERVAL),
        /// To get the answer.
        timeout: Duration = time(defaults::CHECK_TIMEOUT),
    }
}
