//! One SQL text for both databases: `$1`, `$2`, … stand for bound values, which are whole numbers and texts.

use std::borrow::Cow;
use std::fmt::Write as _;

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

impl From<Option<String>> for Value<'_> {
    fn from(value: Option<String>) -> Self {
        Self::Text(value.map(Cow::Owned))
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

    /// Writes `VALUES ($1, $2), ($3, $4)`.
    pub(super) fn push_rows<const N: usize>(&mut self, rows: impl Iterator<Item = [Value<'q>; N]>) {
        self.push("VALUES ");
        for (at, row) in rows.enumerate() {
            self.push(if at == 0 { "(" } else { ", (" });
            for (at, value) in row.into_iter().enumerate() {
                if at > 0 {
                    self.push(",");
                }
                self.push_bind(value);
            }
            self.push(")");
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
        let text = if self.values.len() < MANY { self.text } else { unnamed(self.text) };
        let query = sqlx::query::<Sqlite>(safe(text)).persistent(self.persistent);
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Integer(value) => query.bind(value),
            Value::Flag(value) => query.bind(i64::from(value)),
            Value::Text(value) => query.bind(value.as_deref()),
        })
    }

    fn postgres(self) -> sqlx::query::Query<'static, Postgres, <Postgres as sqlx::Database>::Arguments> {
        let query = sqlx::query::<Postgres>(safe(self.text)).persistent(self.persistent);
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Integer(value) => query.bind(value),
            Value::Flag(value) => query.bind(i16::from(value)),
            Value::Text(value) => query.bind(value.as_deref()),
        })
    }
}

/// From so many values on, SQLite's look at each name among all others is most of what a statement costs.
const MANY: usize = 32;

/// `$1`, `$2`, … are names to SQLite; where they stand in their order, each once, `?` says the same without one.
fn unnamed(text: Cow<'static, str>) -> Cow<'static, str> {
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split('$');
    plain.push_str(parts.next().unwrap_or_default());
    for (number, part) in (1..).zip(parts) {
        let digits = part.find(|byte: char| !byte.is_ascii_digit()).unwrap_or(part.len());
        let (name, rest) = part.split_at(digits);
        if name.parse() != Ok(number) {
            return text;
        }
        plain.push('?');
        plain.push_str(rest);
    }
    Cow::Owned(plain)
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
    fn values_in_their_order_need_no_names() {
        for (named, plain) in [
            ("VALUES ($1,$2), ($3,$4) RETURNING a", "VALUES (?,?), (?,?) RETURNING a"),
            ("SELECT 1", "SELECT 1"),
            ("a = $1 OR b = $1", "a = $1 OR b = $1"),
            ("a = $2 OR b = $1", "a = $2 OR b = $1"),
        ] {
            assert_eq!(unnamed(named.into()), plain);
        }
    }
}
