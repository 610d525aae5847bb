//! One SQL text for both databases: `$1`, `$2`, … stand for bound values, which are whole numbers and texts.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use sqlx::postgres::{PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{AssertSqlSafe, ColumnIndex, Row as _, SqlSafeStr, SqlStr};

use super::StoreError;
use super::session::{Connection, Session};

/// A bound value.
#[derive(Clone, Debug)]
pub(super) enum Value<'q> {
    Integer(Option<i64>),
    /// For columns that are narrower on PostgreSQL.
    Flag(bool),
    Text(Option<Cow<'q, str>>),
    /// A text that is not copied on its way.
    Shared(Option<Arc<str>>),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        Self::Integer(value)
    }
}

impl<'q> From<&'q str> for Value<'q> {
    fn from(value: &'q str) -> Self {
        Self::Text(Some(Cow::Borrowed(value)))
    }
}

impl<'q> From<&'q String> for Value<'q> {
    fn from(value: &'q String) -> Self {
        Self::Text(Some(Cow::Borrowed(value)))
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Text(Some(Cow::Owned(value)))
    }
}

impl<'q> From<Option<&'q str>> for Value<'q> {
    fn from(value: Option<&'q str>) -> Self {
        Self::Text(value.map(Cow::Borrowed))
    }
}

impl From<Option<Arc<str>>> for Value<'_> {
    fn from(value: Option<Arc<str>>) -> Self {
        Self::Shared(value)
    }
}

impl From<Option<String>> for Value<'_> {
    fn from(value: Option<String>) -> Self {
        Self::Text(value.map(Cow::Owned))
    }
}

impl Value<'_> {
    fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => *value,
            Self::Flag(_) | Self::Text(_) | Self::Shared(_) => None,
        }
    }

    fn flag(&self) -> Option<i16> {
        match self {
            Self::Flag(value) => Some(i16::from(*value)),
            Self::Integer(_) | Self::Text(_) | Self::Shared(_) => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(value) => value.as_deref(),
            Self::Shared(value) => value.as_deref(),
            Self::Integer(_) | Self::Flag(_) => None,
        }
    }
}

/// A statement with what is bound to it. Texts that are pushed are ours alone; what comes from outside is bound.
#[derive(Debug)]
#[must_use = "nothing happens before it is executed"]
pub(super) struct Sql<'q> {
    text: Cow<'static, str>,
    values: Vec<Value<'q>>,
    persistent: bool,
}

impl<'q> Sql<'q> {
    pub(super) fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), values: Vec::new(), persistent: true }
    }

    /// The value of the next `$n`.
    pub(super) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.to_mut().push_str(text);
        self
    }

    /// Writes the next `$n`, and its value.
    pub(super) fn push_bind(&mut self, value: impl Into<Value<'q>>) -> &mut Self {
        self.values.push(value.into());
        let number = self.values.len();
        // A string takes whatever is written to it.
        _ = write!(self.text.to_mut(), "${number}");
        self
    }

    /// Writes ` IN (…)`, or ` = …` of one. A longer list is one value: the text is the same whatever its length, and no
    /// database's limit of values is met.
    pub(super) fn push_in(&mut self, list: &BTreeSet<String>, is_postgres: bool) -> &mut Self {
        let mut items = list.iter();
        if let (Some(one), None) = (items.next(), items.next()) {
            return self.push(" = ").push_bind(one.clone());
        }
        let list = serde_json::json!(list).to_string();
        if is_postgres {
            self.push(" IN (SELECT jsonb_array_elements_text(CAST(").push_bind(list).push(" AS JSONB)))")
        } else {
            self.push(" IN (SELECT value FROM json_each(").push_bind(list).push("))")
        }
    }

    /// Whether the database should keep its plan: not for texts that hardly come again.
    pub(super) fn persistent(mut self, persistent: bool) -> Self {
        self.persistent = persistent;
        self
    }

    /// Returns how many rows it touched.
    pub(super) async fn execute(self, session: &mut Session) -> Result<u64, StoreError> {
        Ok(match session.connection() {
            Connection::Sqlite(connection) => self.sqlite().execute(connection).await?.rows_affected(),
            Connection::Postgres(connection) => self.postgres().execute(connection).await?.rows_affected(),
        })
    }

    pub(super) async fn all<R: Read>(self, session: &mut Session) -> Result<Vec<R>, StoreError> {
        Ok(match session.connection() {
            Connection::Sqlite(connection) => {
                let rows = self.sqlite().fetch_all(connection).await?;
                rows.into_iter().map(|row| R::read(&Row::Sqlite(row))).collect::<Result<_, _>>()?
            }
            Connection::Postgres(connection) => {
                let rows = self.postgres().fetch_all(connection).await?;
                rows.into_iter().map(|row| R::read(&Row::Postgres(row))).collect::<Result<_, _>>()?
            }
        })
    }

    pub(super) async fn optional<R: Read>(self, session: &mut Session) -> Result<Option<R>, StoreError> {
        let row = match session.connection() {
            Connection::Sqlite(connection) => {
                self.sqlite().fetch_optional(connection).await?.map(Row::Sqlite)
            }
            Connection::Postgres(connection) => {
                self.postgres().fetch_optional(connection).await?.map(Row::Postgres)
            }
        };
        Ok(row.map(|row| R::read(&row)).transpose()?)
    }

    pub(super) async fn one<R: Read>(self, session: &mut Session) -> Result<R, StoreError> {
        self.optional(session).await?.ok_or(StoreError::Database(sqlx::Error::RowNotFound))
    }

    fn sqlite(self) -> sqlx::query::Query<'static, Sqlite, <Sqlite as sqlx::Database>::Arguments> {
        let query = sqlx::query::<Sqlite>(safe(self.text)).persistent(self.persistent);
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Integer(value) => query.bind(value),
            Value::Flag(value) => query.bind(i64::from(value)),
            Value::Text(value) => query.bind(value.map(Cow::into_owned)),
            Value::Shared(value) => query.bind(value),
        })
    }

    fn postgres(self) -> sqlx::query::Query<'static, Postgres, <Postgres as sqlx::Database>::Arguments> {
        let query = sqlx::query::<Postgres>(safe(self.text)).persistent(self.persistent);
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Integer(value) => query.bind(value),
            Value::Flag(value) => query.bind(i16::from(value)),
            Value::Text(value) => query.bind(value.as_deref()),
            Value::Shared(value) => query.bind(value.as_deref()),
        })
    }
}

/// An `INSERT` of any number of rows.
///
/// PostgreSQL is given one array per column, and so one plan and one message for all rows. SQLite has no arrays: there it
/// is executed in parts of 64, 32, … 1 rows, so that plans of a few texts are kept, whatever the numbers. Its texts have
/// `?` for `$1`: it would look for each name among all others, which is most of what such a statement costs.
pub(super) struct Insert {
    /// Up to the word `VALUES`.
    head: &'static str,
    tail: &'static str,
    sqlite: [OnceLock<String>; PARTS],
    postgres: OnceLock<String>,
}

/// 1, 2, 4, … 64: SQLite takes 32,766 values at once.
const PARTS: usize = 7;

impl Insert {
    pub(super) const fn new(head: &'static str, tail: &'static str) -> Self {
        Self { head, tail, sqlite: [const { OnceLock::new() }; PARTS], postgres: OnceLock::new() }
    }

    /// Returns how many rows it touched. All values of a column are of one kind.
    pub(super) async fn execute<'q, R, const N: usize>(
        &'static self,
        session: &mut Session,
        rows: &'q [R],
        values: impl Fn(&'q R) -> [Value<'q>; N],
    ) -> Result<u64, StoreError> {
        let mut touched = 0;
        match session.connection() {
            Connection::Postgres(connection) => {
                if let Some(query) = self.of_arrays(rows, values) {
                    touched = query.execute(connection).await?.rows_affected();
                }
            }
            Connection::Sqlite(connection) => {
                for (text, rows) in self.parts(rows, N) {
                    let values = rows.iter().flat_map(&values).collect();
                    let part = Sql { text: text.into(), values, persistent: true };
                    touched += part.sqlite().execute(&mut *connection).await?.rows_affected();
                }
            }
        }
        Ok(touched)
    }

    /// The same, of what the tail returns.
    pub(super) async fn returning<'q, R, T: Read, const N: usize>(
        &'static self,
        session: &mut Session,
        rows: &'q [R],
        values: impl Fn(&'q R) -> [Value<'q>; N],
    ) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::with_capacity(rows.len());
        match session.connection() {
            Connection::Postgres(connection) => {
                if let Some(query) = self.of_arrays(rows, values) {
                    found.extend(query.fetch_all(connection).await?.into_iter().map(Row::Postgres));
                }
            }
            Connection::Sqlite(connection) => {
                for (text, rows) in self.parts(rows, N) {
                    let values = rows.iter().flat_map(&values).collect();
                    let part = Sql { text: text.into(), values, persistent: true };
                    found.extend(
                        part.sqlite().fetch_all(&mut *connection).await?.into_iter().map(Row::Sqlite),
                    );
                }
            }
        }
        Ok(found.iter().map(T::read).collect::<Result<_, _>>()?)
    }

    /// `None` of no rows.
    fn of_arrays<'q, R, const N: usize>(
        &'static self,
        rows: &'q [R],
        values: impl Fn(&'q R) -> [Value<'q>; N],
    ) -> Option<sqlx::query::Query<'static, Postgres, <Postgres as sqlx::Database>::Arguments>> {
        let rows: Vec<[Value<'q>; N]> = rows.iter().map(values).collect();
        let first = rows.first()?;
        let text = self.postgres.get_or_init(|| self.postgres_text(N));
        let query = sqlx::query::<Postgres>(text.as_str().into_sql_str());
        let column = |at: usize| rows.iter().filter_map(move |row| row.get(at));
        Some(first.iter().enumerate().fold(query, |query, (at, first)| match first {
            Value::Integer(_) => query.bind(column(at).map(Value::integer).collect::<Vec<_>>()),
            Value::Flag(_) => query.bind(column(at).map(Value::flag).collect::<Vec<_>>()),
            Value::Text(_) | Value::Shared(_) => query.bind(column(at).map(Value::text).collect::<Vec<_>>()),
        }))
    }

    fn postgres_text(&self, columns: usize) -> String {
        let mut text = format!("{} SELECT * FROM UNNEST(", self.head);
        for column in 1..=columns {
            // A string takes whatever is written to it.
            _ = write!(text, "{}${column}", if column == 1 { "" } else { "," });
        }
        text.push_str(") ");
        text.push_str(self.tail);
        text
    }

    fn parts<'q, R>(
        &'static self,
        mut rows: &'q [R],
        columns: usize,
    ) -> impl Iterator<Item = (&'static str, &'q [R])> {
        std::iter::from_fn(move || {
            let mut texts = self.sqlite.iter().enumerate().rev();
            let (power, text) = texts.find(|(power, _)| 1 << power <= rows.len())?;
            let (part, rest) = rows.split_at_checked(1 << power)?;
            rows = rest;
            let text = text.get_or_init(|| self.sqlite_text(1 << power, columns));
            Some((text.as_str(), part))
        })
    }

    fn sqlite_text(&self, rows: usize, columns: usize) -> String {
        let row = format!("({})", vec!["?"; columns].join(","));
        format!("{} VALUES {} {}", self.head, vec![row; rows].join(", "), self.tail)
    }
}

/// The crate's own texts, put together from constants.
fn safe(text: Cow<'static, str>) -> SqlStr {
    match text {
        Cow::Borrowed(text) => text.into_sql_str(),
        Cow::Owned(text) => AssertSqlSafe(text).into_sql_str(),
    }
}

/// A row of either database.
#[derive(Debug)]
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What both databases can give.
pub(super) trait Column:
    for<'r> sqlx::Decode<'r, Sqlite>
    + sqlx::Type<Sqlite>
    + for<'r> sqlx::Decode<'r, Postgres>
    + sqlx::Type<Postgres>
{
}
impl Column for i64 {}
impl Column for Option<i64> {}
impl Column for String {}
impl Column for Option<String> {}

impl Row {
    pub(super) fn get<T: Column>(
        &self,
        column: impl ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    ) -> Result<T, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }

    /// A [`Value::Flag`].
    pub(super) fn flag(&self, column: &str) -> Result<bool, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get::<i64, _>(column).map(|flag| flag != 0),
            Self::Postgres(row) => row.try_get::<i16, _>(column).map(|flag| flag != 0),
        }
    }
}

/// Made from a row.
pub(super) trait Read: Sized {
    fn read(row: &Row) -> Result<Self, sqlx::Error>;
}

impl<T: Column> Read for T {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        row.get(0)
    }
}

macro_rules! read_tuples {
    ($($($name:ident $at:literal),+;)*) => {$(
        impl<$($name: Column),+> Read for ($($name,)+) {
            fn read(row: &Row) -> Result<Self, sqlx::Error> {
                Ok(($(row.get::<$name>($at)?,)+))
            }
        }
    )*};
}

read_tuples! {
    A 0, B 1;
    A 0, B 1, C 2;
    A 0, B 1, C 2, D 3;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_inserted_in_parts_that_come_again() {
        static INSERT: Insert = Insert::new("INSERT INTO t (a, b)", "ON CONFLICT DO NOTHING");
        let rows: Vec<i64> = (0..71).collect();
        let parts: Vec<_> = INSERT.parts(&rows, 2).map(|(_, rows)| rows.len()).collect();
        assert_eq!(parts, [64, 4, 2, 1]);
        let (text, _) = INSERT.parts(&rows[..2], 2).next().unwrap();
        assert_eq!(text, "INSERT INTO t (a, b) VALUES (?,?), (?,?) ON CONFLICT DO NOTHING");
        assert!(INSERT.parts(&rows[..0], 2).next().is_none());
    }

    #[test]
    fn postgres_is_given_columns() {
        static INSERT: Insert = Insert::new("INSERT INTO t (a, b)", "ON CONFLICT DO NOTHING");
        assert_eq!(
            INSERT.postgres_text(2),
            "INSERT INTO t (a, b) SELECT * FROM UNNEST($1,$2) ON CONFLICT DO NOTHING"
        );
        assert!(INSERT.of_arrays(&[], |row: &i64| [(*row).into(), (*row).into()]).is_none());
    }
}
