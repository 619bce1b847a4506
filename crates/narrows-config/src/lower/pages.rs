//! Error pages.

use super::Lowering;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::expression::Scope;
use crate::model::{ErrorPage, StatusKey};
use crate::shape::Map;
use crate::tree::Text;
use narrows_plan::{ErrorPages, StatusPattern, Template, defaults};
use std::io::Read;
use std::sync::Arc;

impl Lowering<'_> {
    /// The pages of a table, those of `outer` behind them.
    pub(super) fn error_pages(
        &mut self,
        written: Option<&Map<StatusKey, ErrorPage>>,
        scope: Scope<'_>,
        outer: &ErrorPages,
    ) -> ErrorPages {
        let mut pages = Vec::new();
        for (key, page) in written.iter().flat_map(|pages| &pages.entries) {
            let pattern = match key.text.as_str() {
                "4xx" | "4XX" => StatusPattern::Class(4),
                "5xx" | "5XX" => StatusPattern::Class(5),
                status => StatusPattern::Exact(status.parse().unwrap_or(500)),
            };
            if let Some(page) = self.error_page(page, Scope { response: true, ..scope }) {
                pages.push((pattern, Arc::new(page)));
            }
        }
        // Exact statuses before classes, also before those of the same table that were written earlier.
        pages.sort_by_key(|(pattern, _)| matches!(pattern, StatusPattern::Class(_)));
        pages.extend(outer.pages.iter().cloned());
        ErrorPages { pages }
    }

    fn error_page(&mut self, page: &ErrorPage, scope: Scope<'_>) -> Option<narrows_plan::ErrorPage> {
        let content_type = match &page.content_type {
            Some(text) => self.header_text(text)?,
            None => "text/html; charset=utf-8".into(),
        };
        let body = match (&page.file, &page.body) {
            (Some(file), None) => self.page_file(file)?,
            (None, Some(body)) => self.template(body, scope)?,
            (Some(_), Some(_)) => {
                let message = "an error page has either `file` or `body`";
                let finding = Finding::error(Code::NotExactlyOne, page.key("body"), message);
                self.reporter.report(finding.label(page.key("file"), "and here is `file`"));
                return None;
            }
            (None, None) => {
                if !page.has("file") && !page.has("body") {
                    let place = page.place.first_line(&self.reporter.sources);
                    let message = "an error page needs `file` or `body`";
                    self.reporter.report(Finding::error(Code::NotExactlyOne, place, message));
                }
                return None;
            }
        };
        Some(narrows_plan::ErrorPage { body, content_type })
    }

    fn page_file(&mut self, file: &Text) -> Option<Template> {
        let path = self.folder.join(&file.text);
        let mut bytes = Vec::new();
        let read = std::fs::File::open(&path)
            .and_then(|opened| opened.take(defaults::PAGE_BYTES + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            let message = format!("cannot read `{}`: {error}", file.text);
            let help = "relative paths start from the folder of the configuration file";
            self.reporter.report(Finding::error(Code::PageUnreadable, file.place, message).help(help));
            return None;
        }
        if bytes.len() as u64 > defaults::PAGE_BYTES {
            let message = format!("`{}` is larger than {} bytes", file.text, defaults::PAGE_BYTES);
            self.reporter.report(Finding::error(Code::PageTooLarge, file.place, message));
            return None;
        }
        match String::from_utf8(bytes) {
            Ok(text) => Some(Template::literal(&text)),
            Err(_) => {
                let message = format!("`{}` is not UTF-8 text", file.text);
                self.reporter.report(Finding::error(Code::PageUnreadable, file.place, message));
                None
            }
        }
    }
}
