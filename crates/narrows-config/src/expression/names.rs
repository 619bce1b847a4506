//! Names in expressions: facts, and maps that are asked by a key.

use super::check::Checker;
use super::{Problem, functions};
use crate::code::Code;
use crate::nearest::nearest;
use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue};
use narrows_plan::{Expression, Fact};

/// Something that is asked by a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyedMap {
    Headers,
    Cookies,
    Parameters,
    ResponseHeaders,
    ResponseCookies,
    Captures,
    ProxyTlvs,
}

impl KeyedMap {
    pub(super) const ALL: [(&'static str, KeyedMap); 7] = [
        ("request.headers", KeyedMap::Headers),
        ("request.cookies", KeyedMap::Cookies),
        ("request.params", KeyedMap::Parameters),
        ("response.headers", KeyedMap::ResponseHeaders),
        ("response.cookies", KeyedMap::ResponseCookies),
        ("captures", KeyedMap::Captures),
        ("proxy_protocol.tlv", KeyedMap::ProxyTlvs),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, map)| *map == self).map_or("", |(name, _)| name)
    }
}

/// `request.headers` as one text; `None` for anything that is not a dotted name.
pub(super) fn dotted(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            let mut name = dotted(&select.operand.expr)?;
            name.push('.');
            name.push_str(&select.field);
            Some(name)
        }
        _ => None,
    }
}

/// The map that an expression names.
pub(super) fn map(expr: &Expr) -> Option<KeyedMap> {
    let name = dotted(expr)?;
    KeyedMap::ALL.iter().find(|(known, _)| *known == name).map(|(_, map)| *map)
}

impl Checker<'_> {
    /// A name on its own: a fact, or an error.
    pub(super) fn name(&mut self, node: &IdedExpr) -> Option<Expression> {
        let name = dotted(&node.expr)?;
        if let Some(fact) = Fact::ALL.iter().find(|fact| fact.name() == name) {
            self.require_layer(node, &name)?;
            return Some(Expression::Fact(*fact));
        }
        if let Expr::Select(select) = &node.expr
            && let Some(map) = map(&select.operand.expr)
        {
            return self.entry(node, map, &select.field);
        }
        if let Some(map) = map(&node.expr) {
            let message = format!("`{name}` is a map");
            let help = format!("ask for one entry: `{name}[\"name\"]`, or test it: `\"name\" in {name}`");
            let help = match map {
                KeyedMap::Captures => "ask for one group: `captures[1]`".into(),
                KeyedMap::ProxyTlvs => format!("ask for one type: `{name}[\"0xE1\"]`"),
                _ => help,
            };
            return self.fail(Problem::new(Code::TypeMismatch, self.range(node), message).help(help));
        }
        let known: Vec<&'static str> = Fact::ALL
            .iter()
            .map(|fact| fact.name())
            .chain(KeyedMap::ALL.iter().map(|(name, _)| *name))
            .collect();
        let problem = Problem::new(Code::UnknownFact, self.range(node), format!("there is no `{name}`"));
        let namespace = name.split('.').next().unwrap_or_default();
        let siblings: Vec<&'static str> =
            known.iter().filter(|known| known.split('.').next() == Some(namespace)).copied().collect();
        let last = |name: &'static str| name.split_once('.').map_or(name, |(_, last)| last);
        let written = if siblings.is_empty() {
            name.as_str()
        } else {
            name.split_once('.').map_or("", |(_, last)| last)
        };
        let candidates: Vec<&'static str> = if siblings.is_empty() { known } else { siblings.clone() };
        let lasts: Vec<&'static str> = candidates.iter().map(|name| last(name)).collect();
        let near =
            nearest(written, &lasts).and_then(|near| candidates.iter().find(|name| last(name) == near));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if siblings.is_empty() => {
                "names begin with `request.`, `response.`, `record.`, `connection.`, `tls.`, `proxy_protocol.`, `time.` or `captures`"
                    .into()
            }
            None => format!("known here: {}", siblings.join(", ")),
        };
        self.fail(problem.help(help))
    }

    /// `map["key"]` or `map.key`.
    pub(super) fn entry(&mut self, node: &IdedExpr, map: KeyedMap, key: &str) -> Option<Expression> {
        self.require_layer(node, map.name())?;
        let lower = || key.to_ascii_lowercase().into();
        Some(match map {
            KeyedMap::Headers => Expression::Header(lower()),
            KeyedMap::ResponseHeaders => Expression::ResponseHeader(lower()),
            KeyedMap::Cookies => Expression::Cookie(key.into()),
            KeyedMap::ResponseCookies => Expression::ResponseCookie(key.into()),
            KeyedMap::Parameters => Expression::Parameter(key.into()),
            KeyedMap::Captures => {
                let group = self.pattern(node)?.group(key);
                let Some(group) = group else {
                    return self.fail(self.no_capture(node, &format!("no group is called `{key}`")));
                };
                Expression::Capture(group)
            }
            KeyedMap::ProxyTlvs => Expression::ProxyTlv(self.tlv_type(node, key)?),
        })
    }

    /// `map[key]` with any key.
    pub(super) fn index(&mut self, node: &IdedExpr, args: &[IdedExpr]) -> Option<Expression> {
        let [target, key] = args else { return self.unsupported(node, "this index") };
        let Some(map) = map(&target.expr) else {
            let target_type = self.check(target)?.value_type();
            let message = format!("{} cannot be asked for an entry", functions::kind(target_type));
            let help = "maps are request.headers, request.cookies, request.params, response.headers, response.cookies, captures and proxy_protocol.tlv";
            return self.fail(Problem::new(Code::TypeMismatch, self.range(node), message).help(help));
        };
        match (map, &key.expr) {
            (_, Expr::Literal(LiteralValue::String(name))) => self.entry(node, map, name.inner()),
            (KeyedMap::Captures, Expr::Literal(LiteralValue::Int(number))) => {
                self.require_layer(node, map.name())?;
                let count = self.pattern(node)?.group_count();
                let group = usize::try_from(*number.inner()).ok().filter(|group| *group < count);
                match group {
                    Some(group) => Some(Expression::Capture(group)),
                    None => {
                        let message = match count {
                            1 => "the pattern has no groups".to_owned(),
                            2 => format!("there is no group {}, the pattern has one", number.inner()),
                            _ => {
                                format!("there is no group {}, the pattern has {}", number.inner(), count - 1)
                            }
                        };
                        self.fail(self.no_capture(node, &message))
                    }
                }
            }
            _ => {
                let message = format!("the key of `{}` must be written out, as a text in quotes", map.name());
                self.fail(Problem::new(Code::NotLiteral, self.range(key), message))
            }
        }
    }

    /// `"key" in map` and `has(map.key)`.
    pub(super) fn presence(&mut self, node: &IdedExpr, map: KeyedMap, key: &str) -> Option<Expression> {
        self.require_layer(node, map.name())?;
        let lower = || key.to_ascii_lowercase().into();
        Some(match map {
            KeyedMap::Headers => Expression::HasHeader(lower()),
            KeyedMap::ResponseHeaders => Expression::HasResponseHeader(lower()),
            KeyedMap::Cookies => Expression::HasCookie(key.into()),
            KeyedMap::ResponseCookies => Expression::HasResponseCookie(key.into()),
            KeyedMap::Parameters => Expression::HasParameter(key.into()),
            KeyedMap::Captures => {
                let message = "the groups of a pattern are known, compare with `\"\"` instead";
                return self.fail(Problem::new(Code::Unsupported, self.range(node), message));
            }
            KeyedMap::ProxyTlvs => Expression::HasProxyTlv(self.tlv_type(node, key)?),
        })
    }

    /// The type of a TLV as it is written in the protocol, `0xE1`.
    fn tlv_type(&mut self, node: &IdedExpr, key: &str) -> Option<u8> {
        let digits =
            key.strip_prefix("0x").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(kind) => Some(kind),
            None => {
                let message = format!("`{key}` is not the type of a TLV");
                let help = "write it as `proxy_protocol.tlv[\"0xE1\"]`, from 0x00 to 0xFF";
                self.fail(Problem::new(Code::UnknownFact, self.range(node), message).help(help))
            }
        }
    }

    /// Whether a name means something where the expression stands.
    fn require_layer(&mut self, node: &IdedExpr, name: &str) -> Option<()> {
        if name.starts_with("response.") && !self.scope.response {
            let message = format!("there is no `{name}` here: the response does not exist yet");
            let problem = Problem::new(Code::NoResponse, self.range(node), message);
            return self.fail(
                problem.help(
                    "`response` is known in `response_headers`, in error pages, in `learn.response` and in `access_log`",
                ),
            );
        }
        if name.starts_with("record.") && !self.scope.record {
            let message = format!("there is no `{name}` here: the record is made when everything is over");
            let help = "`record` is known in `settings.access_log`";
            return self.fail(Problem::new(Code::NoResponse, self.range(node), message).help(help));
        }
        let is_http = name.starts_with("request.") || name == "captures";
        if is_http && self.scope.tcp {
            let message = format!("there is no `{name}` at layer 4");
            let help = "tcp and udp listeners know `connection.*`, `tls.*`, `proxy_protocol.*` and `time.*`; set `protocol: http` to look at requests";
            return self.fail(Problem::new(Code::NotAtThisLayer, self.range(node), message).help(help));
        }
        if name == "captures" && self.scope.condition {
            let message = "`captures` is known once a route was chosen, not in its conditions";
            return self.fail(Problem::new(Code::NoSuchCapture, self.range(node), message));
        }
        Some(())
    }

    fn pattern(&mut self, node: &IdedExpr) -> Option<&narrows_plan::Pattern> {
        if self.scope.captures.is_none() {
            let problem = self.no_capture(node, "the route has no regular expression on its path");
            self.problems.push(problem.help("write `path: { regex: \"^/users/([0-9]+)$\" }`"));
        }
        self.scope.captures
    }

    fn no_capture(&self, node: &IdedExpr, message: &str) -> Problem {
        Problem::new(Code::NoSuchCapture, self.range(node), message)
    }
}
