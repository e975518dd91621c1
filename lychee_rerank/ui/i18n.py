"""Every sentence of the page, in Chinese and English."""

from __future__ import annotations

from typing import Literal

from lychee_rerank.errors import LycheeError, PictureProblem, QueryError

Language = Literal["zh", "en"]

_TEXTS: dict[str, tuple[str, str]] = {
    "title": ("荔枝看图排序", "Lychee Rerank"),
    "tagline": (
        "写一句话，放进图片，看它们按符合程度从高到低排好。全部在本机运行。",
        "Type one sentence, add pictures, and see them ranked by how well they match. Everything stays on this machine.",
    ),
    "query": ("想找什么样的图片？", "What should the pictures show?"),
    "query_hint": ("例如：海边的白色连衣裙，阳光", "For example: a white dress at the beach, sunny"),
    "start": ("开始排序", "Rank"),
    "stop": ("停止", "Stop"),
    "stopping": ("正在停止，等这一张打完分……", "Stopping after the picture at hand ..."),
    "drop": ("图片", "Pictures"),
    "drop_button": ("选择图片", "Choose pictures"),
    "drop_hint": (
        "或把图片、整个文件夹拖到这里\\A每个文件最大 100 MB",
        "or drop pictures or a whole folder here\\Aup to 100 MB a file",
    ),
    "folder": ("或本机文件夹（原地读取，不复制）", "Or a folder on this machine (read in place, not copied)"),
    "folder_hint": ("文件夹的路径", "Path of the folder"),
    "folder_add": ("添加", "Add"),
    "folder_missing": ("没有这个文件夹：{path}", "There is no such folder: {path}"),
    "folder_empty": ("这个文件夹里没有图片：{path}", "There are no pictures in this folder: {path}"),
    "samples": ("用示例图片试试", "Try the samples"),
    "clear": ("全部清除", "Clear all"),
    "loaded": (
        "已放入 {count} 张图片，共 {size}：查看或移除",
        "{count} pictures, {size} in all: look through or remove",
    ),
    "reading": ("正在读取，还有 {count} 张……", "Reading, {count} to go ..."),
    "duplicates": (
        "有 {count} 张与已有图片完全相同，只保留一份：{names}",
        "{count} are the same as others and are kept once: {names}",
    ),
    "unreadable": (
        "有 {count} 张无法读取（会排在最后）：{names}",
        "{count} cannot be read (they will rank last): {names}",
    ),
    "remove": ("移除", "Remove"),
    "still_reading": ("图片还在读取，稍等一下再开始。", "The pictures are still being read: start in a moment."),
    "no_pictures": ("请先放入图片，再开始排序。", "Add pictures first, then rank them."),
    "loading": ("正在载入模型……第一次需要一点时间。", "Loading the model ... the first time takes a while."),
    "progress": ("已处理 {done} / 总 {total} 张", "{done} of {total} pictures"),
    "left": ("，约剩 {time}", ", about {time} left"),
    "explaining": (
        "排序已完成，正在补写理由：{done} / {total}",
        "The ranking stands; writing reasons: {done} of {total}",
    ),
    "stopped": ("已停止：{done} / {total} 张有结果。", "Stopped: {done} of {total} pictures are scored."),
    "finished": ("完成：{total} 张，用时 {time}。", "Done: {total} pictures in {time}."),
    "failed": ("排序中断：{reason}", "The ranking broke off: {reason}"),
    "event": ("第{place}张 {name} → {score}", "No. {place} {name} → {score}"),
    "event_problem": ("第{place}张 {name}：{reason}", "No. {place} {name}: {reason}"),
    "event_note": ("第{place}张 {name}：{note}", "No. {place} {name}: {note}"),
    "events": ("最近动态", "Latest"),
    "output": ("模型输出", "Model output"),
    "no_score": ("模型未返回有效分数", "The model gave no valid score"),
    "no_number": ("未匹配到有效数字，返回默认值0.0", "No valid number was found; the default 0.0 stands"),
    "warning": ("预处理警告", "Preprocessing warning"),
    "tier_primary": ("主模式匹配成功", "Explicit score found"),
    "tier_fallback": ("备选模式：取文中的数字", "Fallback: the first fitting number in the text"),
    "tier_default": ("兜底：默认值", "Default"),
    "answer_yes_no": ("回答：{answer}　“是”的概率：{chance}", "Answer: {answer}. Probability of yes: {chance}"),
    "seconds": ("用时 {seconds} 秒", "{seconds} s"),
    "unfinished": ("（理由还没有写完）", "(the reason is not finished yet)"),
    "read_typed": ("输入的描述", "As typed"),
    "read_query": ("规范化后的描述", "As the model reads it"),
    "read_units": ("语义单元", "Meaning units"),
    "read_prompt": ("完整提示词", "The full prompt"),
    "tab_grid": ("图片", "Pictures"),
    "tab_chart": ("分数图", "Scores"),
    "tab_export": ("导出", "Export"),
    "tab_history": ("记录与对照", "History"),
    "tab_prompt": ("提示词", "Prompt"),
    "large": ("查看大图", "View large"),
    "metadata": ("{width} × {height} 像素，{size}", "{width} × {height} pixels, {size}"),
    "filter_name": ("按文件名查找", "Find by file name"),
    "filter_score": ("最低分", "Lowest score"),
    "filter_top": ("只看前几名（0 为全部）", "Only the first (0: all)"),
    "nothing_left": ("没有符合条件的图片。", "No picture fits these filters."),
    "no_scores_yet": ("还没有分数。", "There are no scores yet."),
    "chart_alt": ("{count} 张图片的分数，从高到低", "Scores of {count} pictures, best first"),
    "chart_hint": (
        "每根柱子是一张图片；指向柱子可以看到文件名和与前一名的差距。",
        "Each bar is a picture: point at it for its file and how far it is below the one before.",
    ),
    "step": ("与前一名的差距", "Step from the one before"),
    "rank": ("名次", "Rank"),
    "score": ("分数", "Score"),
    "name": ("文件名", "File"),
    "csv": ("下载表格", "Download the table"),
    "csv_hint": (
        "CSV：名次、分数、文件名、模型输出，可用 Excel 打开。",
        "CSV with ranks, scores, files and answers; opens in Excel.",
    ),
    "json": ("下载数据", "Download the data"),
    "json_hint": ("JSON：同样的内容，供程序读取。", "JSON with the same, for programs."),
    "zip": ("下载前 {count} 名的图片", "Download the best {count} pictures"),
    "zip_hint": ("ZIP：原图，按名次和分数命名。", "ZIP of the originals, named by rank and score."),
    "zip_count": ("打包前几名", "How many"),
    "history_line": ("{done} 张，第一名 {score} {name}", "{done} pictures, best {score} {name}"),
    "look_again": ("查看", "Look again"),
    "looking_at_this": ("正在查看", "Shown now"),
    "looking_back": ("正在回看：{title}", "Looking back at {title}"),
    "to_newest": ("回到最新", "Newest"),
    "compare": ("与另一次排序对照", "Compare with"),
    "compare_needs_two": ("再排一次，就可以在这里对照两次的结果。", "Rank once more to compare the two here."),
    "nothing": ("选一次排序", "Choose a ranking"),
    "change": ("名次变化", "Change"),
    "settings": ("设置", "Settings"),
    "language": ("语言", "Language"),
    "model": ("模型", "Model"),
    "model_other": ("其他模型文件夹，或 vLLM 服务器网址", "Another checkpoint folder, or a vLLM server's address"),
    "model_other_hint": ("例如 http://192.168.1.5:8000", "For example http://192.168.1.5:8000"),
    "server_banner": (
        "图片会发送到上面这台服务器打分，不再只留在本机。",
        "Pictures are sent to this server to be scored; they do not stay on this machine alone.",
    ),
    "model_in_use": ("正在使用：{name}", "In use: {name}"),
    "model_none": ("尚未载入", "Not loaded yet"),
    "model_broken": ("{name}：不完整（{problems}）", "{name}: incomplete ({problems})"),
    "source_demo": ("内置演示模型", "built-in demo"),
    "source_huggingface": ("Hugging Face 缓存", "Hugging Face cache"),
    "source_modelscope": ("ModelScope 缓存", "ModelScope cache"),
    "source_environment": ("环境变量 LYCHEE_MODEL", "LYCHEE_MODEL"),
    "source_server": ("服务器", "server"),
    "source_argument": ("指定的文件夹", "given folder"),
    "method": ("打分方式", "Method"),
    "method_auto": ("自动", "Automatic"),
    "method_generate": ("写出分数和理由", "Score and reason"),
    "method_yes_no": ("是/否概率（更快）", "Yes/no (faster)"),
    "method_fell_back": (
        "这个模型只会回答是/否，已改用是/否概率。",
        "This model only answers yes or no, so that is used.",
    ),
    "instruction": ("任务说明（是/否概率使用）", "Instruction (for yes/no)"),
    "more_settings": ("更多设置", "More settings"),
    "reasons": ("排完后补写理由", "Write reasons afterwards"),
    "normalize": ("规范化描述", "Normalise the query"),
    "fit": ("图片取景", "Picture fit"),
    "fit_crop": ("居中裁剪", "Centre crop"),
    "fit_whole": ("整张图片", "Whole picture"),
    "reserve": ("显存预留（GiB）", "VRAM kept free (GiB)"),
    "memory": ("内存", "Memory"),
    "memory_line": (
        "{device}：已用 {used}，峰值 {peak}，空闲 {free}",
        "{device}: {used} used, peak {peak}, {free} free",
    ),
    "placement": ("模型所在设备", "Where the model is"),
    "blocks_on": ("{device}：{blocks} / {all} 层", "{device}: {blocks} of {all} blocks"),
    "whole_on": ("全部在 {device}", "All of it on {device}"),
    "partly_slow": ("一部分在内存或硬盘上运行，会慢很多", "What runs from CPU memory or disk is much slower"),
    "demo_banner": (
        "现在用的是内置演示模型：它认识图标、颜色和背景，不认识照片。要排真实照片，请在下面下载正式权重。",
        "The built-in demo model is in use: it knows pictograms, colours and backgrounds, not photographs. "
        "For real photos, fetch the real weights below.",
    ),
    "weights": ("下载正式权重", "Get the real weights"),
    "weights_size": (
        "vec-ai/lychee-rerank-mm，16.6 GB；显卡需要约 18 GB 显存，不够时一部分在内存里运行，会慢很多。",
        "vec-ai/lychee-rerank-mm, 16.6 GB; a GPU with about 18 GB runs it whole, with less it is much slower.",
    ),
    "weights_from": ("从哪里下载", "From"),
    "weights_mirror": ("镜像网址（可不填）", "Mirror address (optional)"),
    "weights_start": ("开始下载", "Download"),
    "weights_asking": ("正在查询文件……", "Asking what there is ..."),
    "weights_checking": ("正在校验……", "Checking ..."),
    "weights_left": ("约剩 {time}", "about {time} left"),
    "weights_done": (
        "下载完成，已校验。在上面选择“自动”，下一次排序就会用它。",
        "Fetched and checked. Choose Automatic above: the next ranking uses it.",
    ),
    "note_exif_rotated": ("EXIF旋转已校正", "turned upright by EXIF"),
    "note_alpha_flattened": ("透明背景已填白", "transparency laid on white"),
    "note_first_frame": ("多帧文件，取第一帧", "several frames, the first is used"),
    "note_cmyk_converted": ("CMYK已转为RGB", "CMYK made RGB"),
    "note_high_bit_depth_reduced": ("高位深已转为8位", "high bit depth made 8 bits"),
    "problem_not_found": ("文件不存在", "there is no such file"),
    "problem_unreadable": ("文件无法读取（{detail}）", "the file cannot be read ({detail})"),
    "problem_empty": ("文件是空的（0字节）", "the file is empty (0 bytes)"),
    "problem_not_an_image": ("不是可识别的图片格式", "not a picture in a format that can be read"),
    "problem_truncated": ("图片已损坏或不完整", "damaged or cut short"),
    "problem_too_many_bytes": ("文件超过大小上限（{limit}字节）", "larger than the limit of {limit} bytes"),
    "problem_too_many_pixels": ("像素数超过上限（{limit}）", "more pixels than the limit of {limit}"),
    "problem_bad_dimensions": ("图片尺寸不合理", "its size makes no sense"),
    "problem_out_of_memory": ("内存不足，重试后仍失败", "not enough memory, also on a second try"),
    "problem_model_failed": ("模型处理失败（{detail}）", "the model failed ({detail})"),
    "query_empty": ("请先写一句话，说明想找什么样的图片。", "Type what the pictures should show first."),
    "query_punctuation_only": (
        "描述里只有标点，请写出想找的内容。",
        "There is only punctuation: type what the pictures should show.",
    ),
    "query_too_long": ("描述太长了，请缩短到2000字以内。", "That is too long: keep it under 2,000 characters."),
}


def text(language: Language, key: str, **facts: object) -> str:
    """The sentence `key` in the language, with its facts filled in."""
    return _TEXTS[key][language == "en"].format(**facts)


def problem(language: Language, found: PictureProblem) -> str:
    """Why a picture cannot be scored."""
    return text(language, f"problem_{found.code}", detail=found.detail, limit=found.limit)


def note(language: Language, code: str) -> str:
    """What was done to a picture while it was opened."""
    return text(language, f"note_{code}")


def reason(language: Language, error: LycheeError) -> str:
    """A foreseen failure, in the person's language where there is a sentence for it."""
    return text(language, f"query_{error.code}") if isinstance(error, QueryError) else str(error)


def literal(words: str) -> str:
    """Words that may hold file names or a program's messages, with every mark that Markdown would read made plain."""
    return "".join(f"\\{mark}" if mark in r"\`*_{}[]()<>#+-.!|~$:&" else mark for mark in words)


def size(count: int) -> str:
    """Bytes as people read them."""
    value, units = float(count), ["B", "KB", "MB", "GB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} {units[0]}" if units[0] in ("B", "KB") else f"{value:.1f} {units[0]}"


def duration(language: Language, seconds: float) -> str:
    """A time span, coarsely."""
    if seconds < 60:
        return f"{seconds:.1f} 秒" if language == "zh" else f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} 分钟" if language == "zh" else f"{minutes:.0f} min"
