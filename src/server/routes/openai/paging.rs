//! Lists of OpenAI's surface, page by page, by the ids of what is listed.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::server::error::{ApiError, Result};

/// Items of a page that does not say how many, and most of one.
const PAGE: usize = 20;
const MAX_PAGE: usize = 100;

/// Which page.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// The id that the page begins behind.
    pub(super) after: Option<String>,
    /// The id that the page ends before.
    pub(super) before: Option<String>,
    /// Items of the page, 1 to 100; 20 if not given.
    pub(super) limit: Option<usize>,
    /// `asc` or `desc`, by the time of creation where that is known; `desc` if not given.
    pub(super) order: Option<String>,
    /// Files in this state only: `in_progress`, `completed`, `failed` or `cancelled`.
    pub(super) filter: Option<String>,
    /// Files for this purpose only.
    pub(super) purpose: Option<String>,
}

/// One page.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// `list`.
    object: &'static str,
    /// The page.
    data: Vec<T>,
    /// Id of the first item.
    first_id: Option<String>,
    /// Id of the last one.
    last_id: Option<String>,
    /// Whether there are more behind it.
    has_more: bool,
}

impl PageParams {
    /// Items of the page.
    ///
    /// # Errors
    /// `invalid_request` for `limit`.
    pub(super) fn limit(&self) -> Result<usize> {
        let limit = self.limit.unwrap_or(PAGE);
        match (1..=MAX_PAGE).contains(&limit) {
            true => Ok(limit),
            false => Err(ApiError::invalid(
                "limit",
                format!("`limit` must lie in 1..={MAX_PAGE}, not {limit}"),
            )),
        }
    }

    /// The page of `all`, which is in ascending order; `id` gives the id of each.
    ///
    /// # Errors
    /// `invalid_request` for a limit, an order, or a place that there is not.
    pub(super) fn page<T>(&self, mut all: Vec<T>, id: impl Fn(&T) -> String) -> Result<Page<T>> {
        let limit = self.limit()?;
        match self.order.as_deref() {
            None | Some("desc") => all.reverse(),
            Some("asc") => {}
            Some(_) => return Err(ApiError::invalid("order", "`order` is `asc` or `desc`")),
        }
        let place = |field: &str, wanted: &String| {
            let found = all.iter().position(|item| id(item) == *wanted);
            found.ok_or_else(|| ApiError::invalid(field, format!("`{field}` is not in the list")))
        };
        let after = self.after.as_ref().map(|id| place("after", id));
        let before = self.before.as_ref().map(|id| place("before", id));
        let end = before.transpose()?.unwrap_or(all.len());
        all.truncate(end);
        let start = match (after.transpose()?, &self.before) {
            (Some(after), _) => (after + 1).min(all.len()),
            // The page right before it.
            (None, Some(_)) => all.len().saturating_sub(limit),
            (None, None) => 0,
        };
        Ok(Page::new(all.split_off(start), limit, id))
    }
}

impl<T> Page<T> {
    /// The first `limit` of `items`, and whether there are more.
    pub(super) fn new(mut items: Vec<T>, limit: usize, id: impl Fn(&T) -> String) -> Self {
        let has_more = items.len() > limit;
        items.truncate(limit);
        Self {
            object: "list",
            first_id: items.first().map(&id),
            last_id: items.last().map(&id),
            has_more,
            data: items,
        }
    }

    /// The same page of something else.
    ///
    /// # Errors
    /// The first of `change`.
    pub(super) fn try_map<U>(self, change: impl FnMut(T) -> Result<U>) -> Result<Page<U>> {
        Ok(Page {
            object: self.object,
            data: self.data.into_iter().map(change).collect::<Result<_>>()?,
            first_id: self.first_id,
            last_id: self.last_id,
            has_more: self.has_more,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(after: Option<&str>, before: Option<&str>, limit: usize, order: &str) -> String {
        let params = PageParams {
            after: after.map(Into::into),
            before: before.map(Into::into),
            limit: Some(limit),
            order: Some(order.into()),
            ..PageParams::default()
        };
        match params.page((0..6).collect(), ToString::to_string) {
            Ok(Page { data, has_more, .. }) => format!("{data:?} {has_more}"),
            Err(error) => error.param.unwrap(),
        }
    }

    #[test]
    fn pages_follow_each_other_both_ways() {
        assert_eq!(page(None, None, 2, "asc"), "[0, 1] true");
        assert_eq!(page(Some("1"), None, 2, "asc"), "[2, 3] true");
        assert_eq!(page(Some("3"), None, 2, "asc"), "[4, 5] false");
        assert_eq!(page(Some("5"), None, 2, "asc"), "[] false");
        assert_eq!(page(None, Some("4"), 2, "asc"), "[2, 3] false");
        assert_eq!(page(Some("4"), None, 3, "desc"), "[3, 2, 1] true");
        assert_eq!(page(Some("9"), None, 2, "asc"), "after");
        assert_eq!(page(None, Some("9"), 2, "asc"), "before");
        assert_eq!(page(None, None, 0, "asc"), "limit");
        assert_eq!(page(None, None, 1, "up"), "order");
    }
}
