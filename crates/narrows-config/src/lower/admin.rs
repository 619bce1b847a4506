//! Where operators reach the process, and who may.

use super::Lowering;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::model::{self, Configuration};
use crate::nearest::nearest;
use crate::shape::TextOr;
use crate::source::Place;
use crate::tree::Text;
use narrows_plan::{Admin, AdminApi, Bind, Origin, ServerTls, defaults};
use std::collections::HashMap;
use std::path::PathBuf;

impl Lowering<'_> {
    /// The admin API of all files together: one of them may say what it is.
    pub(super) fn admin(
        &mut self,
        files: &[(Configuration, PathBuf)],
        bound: &mut HashMap<(Bind, bool), Place>,
    ) -> Admin {
        let mut first: Option<Place> = None;
        let mut admin = Admin::Usual;
        for (file, folder) in files {
            if !file.has("admin") {
                continue;
            }
            let place = file.key("admin");
            if let Some(first) = first {
                let message = "`admin` is written in two files";
                let finding = Finding::error(Code::DuplicateName, place, message);
                self.reporter.report(finding.label(first, "first here"));
                continue;
            }
            first = Some(place);
            self.folder.clone_from(folder);
            admin = match &file.admin {
                Some(TextOr::Short(word)) if word.text == "off" => Admin::Off,
                Some(TextOr::Short(word)) => self.short_admin(word, place, bound),
                Some(TextOr::Long(table)) => self.long_admin(table, place, bound),
                None => Admin::Usual,
            };
        }
        admin
    }

    fn short_admin(&mut self, word: &Text, place: Place, bound: &mut HashMap<(Bind, bool), Place>) -> Admin {
        if !word.text.contains([':', '/']) {
            let message = format!("`{}` is neither `off` nor an address", word.text);
            let help = match nearest(&word.text, &["off"]) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write `unix:/run/narrows/admin.sock` for instance; it is on without this key".into(),
            };
            self.reporter.report(Finding::error(Code::UnknownValue, word.place, message).help(help));
            return Admin::Usual;
        }
        let binds = self.single_binds(std::slice::from_ref(word), bound);
        let origin = self.reporter.sources.origin(place);
        let api = AdminApi { origin, binds, mode: AdminApi::MODE, token: None, tls: None };
        self.admit_strangers_to_nothing(&api, word.place);
        Admin::On(Box::new(api))
    }

    fn long_admin(
        &mut self,
        written: &model::Admin,
        place: Place,
        bound: &mut HashMap<(Bind, bool), Place>,
    ) -> Admin {
        let Some(binds) = &written.bind else { return Admin::Usual };
        let origin = self.reporter.sources.origin(place);
        let api = AdminApi {
            origin,
            binds: self.single_binds(&binds.0, bound),
            mode: written.mode.as_ref().and_then(|mode| self.socket_mode(mode)).unwrap_or(AdminApi::MODE),
            token: written.token.as_ref().map(|token| self.file(token)),
            tls: written.tls.as_ref().map(|tls| self.admin_tls(tls, written.key("tls"))),
        };
        let is_local = api.binds.iter().all(|(bind, _)| matches!(bind, Bind::Unix(_)));
        for key in ["token", "tls"] {
            if written.has(key) && is_local {
                let message = format!("`{key}` has no effect: every address of `admin` is a Unix socket");
                let help = "who may use a Unix socket is decided by its `mode` and its folder";
                self.reporter.report(Finding::warning(Code::NoEffect, written.key(key), message).help(help));
            }
        }
        self.admit_strangers_to_nothing(&api, written.key("bind"));
        Admin::On(Box::new(api))
    }

    pub(super) fn single_binds(
        &mut self,
        written: &[Text],
        bound: &mut HashMap<(Bind, bool), Place>,
    ) -> Vec<(Bind, Origin)> {
        let mut binds = Vec::new();
        for text in written {
            let Some(bind) = self.bind_address(text) else { continue };
            let takes_free_port = matches!(&bind, Bind::Socket(address) if address.port() == 0);
            if !takes_free_port && let Some(first) = bound.insert((bind.clone(), false), text.place) {
                let message = format!("`{}` is already listened on", text.text);
                let finding = Finding::error(Code::BoundTwice, text.place, message);
                self.reporter.report(finding.label(first, "first here"));
            }
            binds.push((bind, self.reporter.sources.origin(text.place)));
        }
        binds
    }

    /// Whoever reaches a TCP port would rule the process.
    fn admit_strangers_to_nothing(&mut self, api: &AdminApi, place: Place) {
        let is_reachable = api.binds.iter().any(|(bind, _)| matches!(bind, Bind::Socket(_)));
        if is_reachable && api.token.is_none() && !api.asks_for_certificates() {
            let message = "everybody who reaches this TCP port could rule the process";
            let help = "name a file with a token, `admin: { bind: ..., token: admin.token }`, or ask clients for \
                        certificates, `tls: { certificates: ..., clients: { ca: operators.pem } }`";
            self.reporter.report(Finding::error(Code::OpenAdmin, place, message).help(help));
        }
    }

    fn socket_mode(&mut self, written: &Text) -> Option<u32> {
        let digits = written.text.strip_prefix("0o").or_else(|| written.text.strip_prefix('0'));
        let digits = digits.unwrap_or(&written.text);
        let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o777 && digits.len() == 3);
        if mode.is_none() {
            let message = format!("`{}` are not the permissions of a socket", written.text);
            let help = "write `\"0600\"` for its owner alone, `\"0660\"` for its group as well";
            self.reporter.report(Finding::error(Code::UnknownValue, written.place, message).help(help));
        }
        mode
    }

    fn admin_tls(&mut self, written: &model::AdminTls, place: Place) -> Box<ServerTls> {
        Box::new(ServerTls {
            origin: self.reporter.sources.origin(place),
            certificates: written
                .certificates
                .iter()
                .flat_map(|list| &list.0)
                .filter_map(|certificate| self.certificate(certificate))
                .collect(),
            policy: self.policy(written.profile, None),
            alpn: vec!["http/1.1".into()],
            clients: written.clients.as_ref().and_then(|clients| self.client_certificates(clients)),
            handshake: Some(defaults::HANDSHAKE),
        })
    }
}
