// What the audit trail calls the things people do, in words.
import { t } from "../../shared/language";

const ACTS: Record<string, [string, string]> = {
  publish: ["phát tin", "published"], submit_draft: ["trình duyệt", "submitted a draft"], approve_draft: ["duyệt", "approved a draft"],
  return_draft: ["trả lại", "returned a draft"], reject_draft: ["từ chối", "rejected a draft"], override: ["PHÁT KHẨN (override)", "OVERRIDE"],
  drop_draft: ["xóa nháp", "deleted a draft"], recall: ["thu hồi", "recalled"], change_agency: ["sửa cơ quan", "changed an agency"],
  change_person: ["sửa người dùng", "changed a person"], create_key: ["tạo khóa API", "made an API key"], revoke_key: ["thu hồi khóa API", "revoked an API key"],
  request_admin: ["yêu cầu người thứ hai", "asked a second admin"], confirm_admin: ["xác nhận", "confirmed"], refuse_admin: ["không đồng ý", "refused"],
  register_certificate: ["đăng ký chứng thư số", "registered a certificate"], remove_certificate: ["gỡ chứng thư số", "removed a certificate"],
  verify_signature: ["xác minh chữ ký số của", "verified the signature of"],
  login: ["đăng nhập", "logged in"], import_geofences: ["nhập ranh giới", "imported boundaries"], redrive_dead_letters: ["gửi lại thư hỏng", "sent a dead letter again"], request: ["yêu cầu bị từ chối", "asked for what was refused"],
};

/** An act in the language of the screen; one that is new here as the node calls it. */
export function actWords(act: string): string {
  const known = ACTS[act];
  return known ? t(...known) : act;
}
