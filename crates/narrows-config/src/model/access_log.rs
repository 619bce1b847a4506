//! Where access records go, as it is written.

use crate::shape::{
    Duration, Number, OPTIONAL, OrTable, Portion, REQUIRED, Size, TextOr, choice, otherwise, table,
};
use crate::tree::Text;

table! {
    /// One access log.
    AccessLog {
        /// Where records go: `stdout`, `stderr`, `otlp` (the collector of `telemetry`), the path of a file, or a table.
        to: TextOr<LogDestination> = REQUIRED,
        /// How one is written.
        format: OrTable<LogFormat, FormatTable> = otherwise("`settings.log_format`"),
        /// Only records for which this is true: `response.status >= 500`. It may ask everything that conditions of routes may, the
        /// response and `record.*`.
        when: Text = otherwise("all"),
        /// How many of them, evenly.
        sample: Portion = "100%",
    }
}

table! {
    /// Where an access log goes: a file or a syslog server.
    LogDestination {
        /// A file; records are appended. SIGUSR1 opens it anew.
        file: Text = OPTIONAL,
        /// When another file is begun.
        rotate: LogRotation = otherwise("never"),
        /// A syslog server (RFC 5424): `udp://HOST:PORT`, `tcp://HOST:PORT` or `unix:PATH`.
        syslog: Text = OPTIONAL,
        /// The facility of messages.
        facility: Facility = "local0",
        /// The severity of messages.
        severity: LogSeverity = "info",
        /// The name of the program in messages, at most 48 letters without spaces.
        app: Text = "narrows",
    }
}

table! {
    /// When a log file is put aside, as `FILE.1`, and another one begun.
    LogRotation {
        /// Before it is larger than this.
        size: Size = OPTIONAL,
        /// When this time is over, counted in UTC from midnight: `1d` at midnight, `1h` with the hour.
        every: Duration = OPTIONAL,
        /// How many are kept beside the present one.
        keep: Number<0, 10000> = "7",
    }
}

table! {
    /// A format of another proxy, or one of our own.
    FormatTable {
        /// nginx's `log_format`: text with `$variables`.
        nginx: Text = OPTIONAL,
        /// How values are escaped there.
        escape: Escape = "default",
        /// HAProxy's `log-format`: text with `%aliases`.
        haproxy: Text = OPTIONAL,
        /// Text with `${ expressions }`.
        template: Text = OPTIONAL,
    }
}

choice! {
    /// How an access record is written.
    LogFormat {
        /// The combined format with more fields.
        Text = "text",
        /// One object a line.
        Json = "json",
        /// The combined format of Apache and nginx.
        Combined = "combined",
        /// The same without referer and user agent.
        Common = "common",
        /// `key=value` pairs.
        Logfmt = "logfmt",
        /// As HAProxy's `option httplog`.
        HaproxyHttp = "haproxy-http",
        /// As HAProxy's `option httpslog`.
        HaproxyHttps = "haproxy-https",
        /// As HAProxy's `option tcplog`.
        HaproxyTcp = "haproxy-tcp",
    }
}

choice! {
    /// How nginx escapes.
    Escape {
        /// `\xHH`.
        Default = "default",
        /// As in JSON texts.
        Json = "json",
        /// Not at all.
        None = "none",
    }
}

choice! {
    /// Facilities of syslog (RFC 5424 section 6.2.1).
    Facility {
        /// 0
        Kern = "kern",
        /// 1
        User = "user",
        /// 2
        Mail = "mail",
        /// 3
        Daemon = "daemon",
        /// 4
        Auth = "auth",
        /// 5
        Syslog = "syslog",
        /// 6
        Lpr = "lpr",
        /// 7
        News = "news",
        /// 8
        Uucp = "uucp",
        /// 9
        Cron = "cron",
        /// 10
        Authpriv = "authpriv",
        /// 11
        Ftp = "ftp",
        /// 12
        Ntp = "ntp",
        /// 13
        Audit = "audit",
        /// 14
        Alert = "alert",
        /// 15
        Clock = "clock",
        /// 16
        Local0 = "local0",
        /// 17
        Local1 = "local1",
        /// 18
        Local2 = "local2",
        /// 19
        Local3 = "local3",
        /// 20
        Local4 = "local4",
        /// 21
        Local5 = "local5",
        /// 22
        Local6 = "local6",
        /// 23
        Local7 = "local7",
    }
}

choice! {
    /// Severities of syslog (RFC 5424 section 6.2.1).
    LogSeverity {
        /// 0
        Emergency = "emerg",
        /// 1
        Alert = "alert",
        /// 2
        Critical = "crit",
        /// 3
        Error = "err",
        /// 4
        Warning = "warning",
        /// 5
        Notice = "notice",
        /// 6
        Info = "info",
        /// 7
        Debug = "debug",
    }
}
