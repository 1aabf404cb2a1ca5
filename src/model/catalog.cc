// SPDX-License-Identifier: Apache-2.0
#include "model/catalog.h"

#include <sqlite3.h>

#include "base/mutex.h"

namespace mlos::model {
namespace {

constexpr int kSchemaVersion = 4;
// "mlOS" in ASCII: tells our file from any other SQLite database.
constexpr int kApplicationId = 0x6D6C4F53;

struct CloseDb {
  void operator()(sqlite3* db) const { sqlite3_close(db); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
};
using Db = std::unique_ptr<sqlite3, CloseDb>;
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

class SqliteCatalog final : public Catalog {
 public:
  SqliteCatalog(Db db, std::string file) : db_(std::move(db)), file_(std::move(file)) {}

  Status Prepare() {
    MutexLock lock(mu_);
    MLOS_RETURN_IF_ERROR(ExecuteLocked("PRAGMA busy_timeout = 5000"));
    MLOS_ASSIGN_OR_RETURN(const int version, ReadIntLocked("PRAGMA user_version"));
    MLOS_ASSIGN_OR_RETURN(const int application, ReadIntLocked("PRAGMA application_id"));
    MLOS_ASSIGN_OR_RETURN(const int tables, ReadIntLocked("SELECT count(*) FROM sqlite_master"));
    const bool ours = application == kApplicationId && version >= 1 && version <= kSchemaVersion;
    if (tables > 0 && !ours) {
      return DataLoss("'" + file_ + "' is not a model registry of this version (schema " +
                      std::to_string(version) + ", wanted " + std::to_string(kSchemaVersion) +
                      "): move it away to start an empty one");
    }
    MLOS_RETURN_IF_ERROR(ExecuteLocked("PRAGMA journal_mode = WAL"));
    MLOS_RETURN_IF_ERROR(ExecuteLocked("PRAGMA synchronous = FULL"));
    if (tables == 0) {
      MLOS_RETURN_IF_ERROR(
          ExecuteLocked("BEGIN IMMEDIATE;"
                        "CREATE TABLE IF NOT EXISTS model (id TEXT PRIMARY KEY, path TEXT NOT NULL, "
                        "plugin_id TEXT NOT NULL,"
                        " execution_format TEXT NOT NULL, framework TEXT NOT NULL, description TEXT NOT NULL,"
                        " registered_unix_ns INTEGER NOT NULL);"
                        "PRAGMA application_id = 1835814739;"
                        "PRAGMA user_version = 1;"
                        "COMMIT"));
    }
    if (tables == 0 || version == 1) MLOS_RETURN_IF_ERROR(MigrateFrom1Locked());
    if (tables == 0 || version < 3) MLOS_RETURN_IF_ERROR(MigrateFrom2Locked());
    return tables == 0 || version < 4 ? MigrateFrom3Locked() : OkStatus();
  }

  Status MigrateFrom1Locked() MLOS_REQUIRES(mu_) {
    return ExecuteLocked(
        "BEGIN IMMEDIATE;"
        "ALTER TABLE model ADD COLUMN keep_alive_ns INTEGER;"
        "ALTER TABLE model ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;"
        "CREATE TABLE latest (name TEXT PRIMARY KEY, id TEXT NOT NULL);"
        "PRAGMA user_version = 2;"
        "COMMIT");
  }

  Status MigrateFrom2Locked() MLOS_REQUIRES(mu_) {
    return ExecuteLocked(
        "BEGIN IMMEDIATE;"
        "ALTER TABLE model ADD COLUMN isolation TEXT NOT NULL DEFAULT '';"
        "PRAGMA user_version = 3;"
        "COMMIT");
  }

  Status MigrateFrom3Locked() MLOS_REQUIRES(mu_) {
    return ExecuteLocked(
        "BEGIN IMMEDIATE;"
        "ALTER TABLE model ADD COLUMN batching TEXT NOT NULL DEFAULT '';"
        "ALTER TABLE model ADD COLUMN max_batch INTEGER NOT NULL DEFAULT 0;"
        "PRAGMA user_version = 4;"
        "COMMIT");
  }

  Status Put(const Registration& r) override {
    MutexLock lock(mu_);
    MLOS_ASSIGN_OR_RETURN(
        const Statement s,
        CompileLocked("INSERT OR REPLACE INTO model VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
    const std::string* texts[] = {&r.id,        &r.path,       &r.plugin_id, &r.execution_format,
                                  &r.framework, &r.description};
    int column = 1;
    for (const std::string* text : texts) {
      sqlite3_bind_text(s.get(), column++, text->data(), static_cast<int>(text->size()), SQLITE_STATIC);
    }
    sqlite3_bind_int64(s.get(), column++, r.registered_unix_ns);
    // Left out, it is NULL.
    if (r.keep_alive_ns) sqlite3_bind_int64(s.get(), column, *r.keep_alive_ns);
    sqlite3_bind_int(s.get(), ++column, r.pinned ? 1 : 0);
    sqlite3_bind_text(s.get(), ++column, r.isolation.data(), static_cast<int>(r.isolation.size()),
                      SQLITE_STATIC);
    sqlite3_bind_text(s.get(), ++column, r.batching.data(), static_cast<int>(r.batching.size()),
                      SQLITE_STATIC);
    sqlite3_bind_int64(s.get(), ++column, r.max_batch);
    return StepToEndLocked(s.get());
  }

  Status Remove(const std::string& id) override {
    MutexLock lock(mu_);
    MLOS_ASSIGN_OR_RETURN(const Statement s, CompileLocked("DELETE FROM model WHERE id = ?"));
    sqlite3_bind_text(s.get(), 1, id.data(), static_cast<int>(id.size()), SQLITE_STATIC);
    return StepToEndLocked(s.get());
  }

  Result<std::vector<Registration>> List() override {
    MutexLock lock(mu_);
    MLOS_ASSIGN_OR_RETURN(
        const Statement s,
        CompileLocked("SELECT id, path, plugin_id, execution_format, framework, description,"
                      " registered_unix_ns, keep_alive_ns, pinned, isolation, batching, max_batch FROM model "
                      "ORDER BY id"));
    std::vector<Registration> rows;
    int code = SQLITE_ROW;
    while ((code = sqlite3_step(s.get())) == SQLITE_ROW) {
      rows.push_back({.id = Text(s.get(), 0),
                      .path = Text(s.get(), 1),
                      .plugin_id = Text(s.get(), 2),
                      .execution_format = Text(s.get(), 3),
                      .framework = Text(s.get(), 4),
                      .description = Text(s.get(), 5),
                      .registered_unix_ns = sqlite3_column_int64(s.get(), 6),
                      .pinned = sqlite3_column_int(s.get(), 8) != 0,
                      .isolation = Text(s.get(), 9),
                      .batching = Text(s.get(), 10),
                      .max_batch = static_cast<uint32_t>(sqlite3_column_int64(s.get(), 11))});
      if (sqlite3_column_type(s.get(), 7) != SQLITE_NULL)
        rows.back().keep_alive_ns = sqlite3_column_int64(s.get(), 7);
    }
    if (code != SQLITE_DONE) return ErrorLocked(code);
    return rows;
  }

  Status PutLatest(const std::string& name, const std::string& id) override {
    MutexLock lock(mu_);
    const char* sql =
        id.empty() ? "DELETE FROM latest WHERE name = ?" : "INSERT OR REPLACE INTO latest VALUES (?, ?)";
    MLOS_ASSIGN_OR_RETURN(const Statement s, CompileLocked(sql));
    sqlite3_bind_text(s.get(), 1, name.data(), static_cast<int>(name.size()), SQLITE_STATIC);
    if (!id.empty()) sqlite3_bind_text(s.get(), 2, id.data(), static_cast<int>(id.size()), SQLITE_STATIC);
    return StepToEndLocked(s.get());
  }

  Result<std::map<std::string, std::string>> ListLatest() override {
    MutexLock lock(mu_);
    MLOS_ASSIGN_OR_RETURN(const Statement s, CompileLocked("SELECT name, id FROM latest"));
    std::map<std::string, std::string> out;
    int code = SQLITE_ROW;
    while ((code = sqlite3_step(s.get())) == SQLITE_ROW) out[Text(s.get(), 0)] = Text(s.get(), 1);
    if (code != SQLITE_DONE) return ErrorLocked(code);
    return out;
  }

 private:
  static std::string Text(sqlite3_stmt* s, int column) {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(s, column));
    return text == nullptr ? "" : std::string(text, static_cast<size_t>(sqlite3_column_bytes(s, column)));
  }

  Status ErrorLocked(int code) MLOS_REQUIRES(mu_) {
    const std::string what = "model registry '" + file_ + "': " + sqlite3_errmsg(db_.get());
    switch (code & 0xFF) {
      case SQLITE_CORRUPT:
      case SQLITE_NOTADB:
        return DataLoss(what + ": move the file away to start an empty registry");
      case SQLITE_FULL:
        return ResourceExhausted(what);
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
        return Unavailable(what + ": another mlos-core uses it");
      case SQLITE_READONLY:
      case SQLITE_CANTOPEN:
      case SQLITE_PERM:
        return PermissionDenied(what);
      default:
        return Internal(what);
    }
  }

  Status ExecuteLocked(const char* sql) MLOS_REQUIRES(mu_) {
    const int code = sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr);
    return code == SQLITE_OK ? OkStatus() : ErrorLocked(code);
  }

  Result<Statement> CompileLocked(const char* sql) MLOS_REQUIRES(mu_) {
    sqlite3_stmt* raw = nullptr;
    const int code = sqlite3_prepare_v2(db_.get(), sql, -1, &raw, nullptr);
    Statement s(raw);
    if (code != SQLITE_OK) return ErrorLocked(code);
    return s;
  }

  Status StepToEndLocked(sqlite3_stmt* s) MLOS_REQUIRES(mu_) {
    const int code = sqlite3_step(s);
    return code == SQLITE_DONE ? OkStatus() : ErrorLocked(code);
  }

  Result<int> ReadIntLocked(const char* sql) MLOS_REQUIRES(mu_) {
    MLOS_ASSIGN_OR_RETURN(const Statement s, CompileLocked(sql));
    const int code = sqlite3_step(s.get());
    if (code != SQLITE_ROW) return ErrorLocked(code);
    return sqlite3_column_int(s.get(), 0);
  }

  Mutex mu_;
  const Db db_;
  const std::string file_;
};

static_assert(kApplicationId == 1835814739, "the SQL text above spells it out");

}  // namespace

Result<std::unique_ptr<Catalog>> Catalog::Open(const std::filesystem::path& file) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(file.c_str(), &raw,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  Db db(raw);
  if (code != SQLITE_OK) {
    return PermissionDenied("cannot open the model registry '" + file.string() +
                            "': " + (raw != nullptr ? sqlite3_errmsg(raw) : "out of memory"));
  }
  auto catalog = std::make_unique<SqliteCatalog>(std::move(db), file.string());
  MLOS_RETURN_IF_ERROR(catalog->Prepare());
  return std::unique_ptr<Catalog>(std::move(catalog));
}

}  // namespace mlos::model
